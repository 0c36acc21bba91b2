"""What a benchmark is: from a row to a question for a model, from its reply to a verdict.

Tasks are asked in one of two ways: how likely is each of some continuations (`Choices`), or what comes next
(`Written`). A verdict has a value for each metric that applies to the item; a score is the mean over the items that
have one, so `precision` is the mean over those that were answered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pocketphi.eval.tasks.prompt import Format, Prompt
from pocketphi.eval.tasks.rows import Row


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Which continuation is likeliest?"""

    asked: tuple[tuple[Prompt, str], ...]
    """A prompt (mostly the same one) and a continuation for each choice; a continuation that follows a cue begins with
    a space."""
    labels: tuple[str, ...]
    """What each choice is called in a report: `A`, `entailment`, ..."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What does the model write?"""

    prompt: Prompt
    max_tokens: int
    stop: tuple[str, ...] = ()


Asked = Choices | Written


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """What a model thinks of a continuation."""

    logprob: float
    """Natural logarithm, summed over tokens."""
    is_greedy: bool


Reply = tuple[Likelihood, ...] | str
"""To `Choices`, one for each in their order; to `Written`, the text."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of one item."""

    scores: Mapping[str, float]
    """By metric; one that does not apply to this item is left out."""
    answer: str
    """What the model said, as far as it was understood; empty if it was not."""
    expected: str
    probabilities: tuple[float, ...] | None = None
    """Of the choices, summing to 1, for a calibration plot."""


@dataclass(frozen=True, kw_only=True)
class BenchTask:
    """A benchmark of local rows."""

    name: str
    """`phi3_mmlu`"""
    title: str
    """As the report's table has it."""
    version: int
    """Changes whenever a score may change."""
    file: str
    """`mmlu`: rows come from `mmlu.test_a.jsonl.gz` and `mmlu.train.jsonl.gz`."""
    metric: str
    """Headline."""
    shots: int
    ask: Callable[[Row, Sequence[Row], Format], Asked]
    """From a row and its worked examples."""
    judge: Callable[[Row, Asked, Reply], Verdict]
    by_subset: bool = False
    """Worked examples are of the row's own subset."""
    worked: Callable[[Row], Sequence[Row]] | None = None
    """Worked examples that come with the task; without them they are drawn from rows (`eval.tasks.examples`)."""
    cluster: Callable[[Row], str] | None = None
    """Items with one passage are not independent: what they share."""
    as_turns: bool = False
    """Always asked in the model's chat form: what is measured is how it answers a person."""
    runs_code: bool = False
    """Judged by running what the model wrote, so only where a sandbox can be built."""
    chance: float | None = None
    """Score of guessing."""
    check: Callable[[Row], object] | None = None
    """Raises `UserError` for a row that the task cannot ask about or judge; asked of every row before anything else."""
    rows: Callable[[], tuple[Row, ...]] | None = None
    """Makes the rows, where they are generated and not read."""
