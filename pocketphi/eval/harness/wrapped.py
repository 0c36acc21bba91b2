"""A `BenchTask` as a task of lm-evaluation-harness: the harness walks its rows, asks and collects, we phrase and judge.

The base class of the harness is taken, not its configurable task: prompts, metrics and examples are ours.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import Task
from lm_eval.config.task import TaskConfig

from pocketphi.eval.harness.adapter import marked
from pocketphi.eval.harness.answers import key_of
from pocketphi.eval.results import Item
from pocketphi.eval.tasks.prompt import Format, Prompt
from pocketphi.eval.tasks.rows import Row
from pocketphi.eval.tasks.task import Asked, BenchTask, Choices, Likelihood, Reply, Verdict


@dataclass(frozen=True)
class Question:
    """A row, as it is asked."""

    row: Row
    asked: Asked
    prompts: tuple[tuple[str, Any], ...]
    """What the harness passes on: (context, continuation), or (context, settings)."""

    @property
    def prompt(self) -> Prompt:
        """That of the first choice, where there are several."""
        return self.asked.asked[0][0] if isinstance(self.asked, Choices) else self.asked.prompt

    @property
    def digest(self) -> str:
        """SHA-256 of all that the model is given."""
        return key_of(self.prompts)


def phrase(task: BenchTask, row: Row, shots: Sequence[Row], form: Format, *, chat: bool) -> Question:
    """A row in the words of a format, as text or as a conversation."""
    asked = task.ask(row, shots, form)

    def context(prompt: Prompt) -> str:
        return marked(prompt.messages()) if chat else prompt.text()

    if isinstance(asked, Choices):
        return Question(row, asked, tuple((context(prompt), text) for prompt, text in asked.asked))
    settings = {"until": list(asked.stop), "max_gen_toks": asked.max_tokens, "do_sample": False}
    return Question(row, asked, ((context(asked.prompt), settings),))


class LocalTask(Task):  # type: ignore[misc, unused-ignore]
    """One benchmark with its questions; `items` holds a verdict for each once the harness has run it.

    Args:
        questions: in the order in which they are asked.
    """

    VERSION = 1

    def __init__(self, task: BenchTask, questions: Sequence[Question]) -> None:
        self.bench = task
        self.VERSION = task.version
        self._questions = {question.row.id: question for question in questions}
        self.OUTPUT_TYPE = "multiple_choice" if isinstance(questions[0].asked, Choices) else "generate_until"
        self.items: dict[str, Item] = {}
        config = {"task": task.name, "num_fewshot": task.shots, "metadata": {"version": task.version}}
        super().__init__(config=config)
        self._config = TaskConfig(**config, output_type=self.OUTPUT_TYPE, generation_kwargs=self._settings())

    def download(self, *_arguments: Any, **_options: Any) -> None:
        """Rows are here already."""

    def has_training_docs(self) -> bool:
        return False

    def has_validation_docs(self) -> bool:
        return False

    def has_test_docs(self) -> bool:
        return True

    def test_docs(self) -> list[dict[str, str]]:
        return [{"id": name} for name in self._questions]

    @property
    def eval_docs(self) -> list[dict[str, str]]:
        return self.test_docs()

    def doc_to_text(self, doc: Mapping[str, str]) -> str:
        return self._questions[doc["id"]].prompts[0][0]

    def doc_to_target(self, doc: Mapping[str, str]) -> str:
        return str(self._questions[doc["id"]].row.answer)

    def fewshot_context(self, doc: Mapping[str, str], *_arguments: Any, **_options: Any) -> str:
        """All of the prompt: examples stand in it already."""
        return self.doc_to_text(doc)

    def construct_requests(self, doc: dict[str, str], ctx: str, **options: Any) -> list[Instance]:
        del ctx
        kept = {key: value for key, value in options.items() if key == "metadata"}
        kind = "loglikelihood" if self.OUTPUT_TYPE == "multiple_choice" else "generate_until"
        return [
            Instance(request_type=kind, doc=doc, arguments=arguments, idx=index, **kept)
            for index, arguments in enumerate(self._questions[doc["id"]].prompts)
        ]

    def process_results(self, doc: Mapping[str, str], results: Sequence[Any]) -> dict[str, float]:
        question = self._questions[doc["id"]]
        reply: Reply = str(results[0])
        if isinstance(question.asked, Choices):
            reply = tuple(Likelihood(logprob=logprob, is_greedy=is_greedy) for logprob, is_greedy in results)
        verdict = self.bench.judge(question.row, question.asked, reply)
        self.items[doc["id"]] = item_of(self.bench, question, reply, verdict)
        return dict(verdict.scores)

    def aggregation(self) -> Mapping[str, Callable[[Sequence[float]], float]]:
        return defaultdict(lambda: fmean)

    def higher_is_better(self) -> Mapping[str, bool]:
        return defaultdict(lambda: True)

    def _settings(self) -> dict[str, Any] | None:
        if self.OUTPUT_TYPE == "multiple_choice":
            return None
        settings: dict[str, Any] = dict(next(iter(self._questions.values())).prompts[0][1])
        return settings


def item_of(task: BenchTask, question: Question, reply: Reply, verdict: Verdict) -> Item:
    """What is kept of one question."""
    row, asked = question.row, question.asked
    return Item(
        id=row.id,
        subset=row.subset,
        cluster=row.id if task.cluster is None else task.cluster(row),
        prompt_digest=question.digest,
        question=question.prompt.asked,
        choices=row.choices or (asked.labels if isinstance(asked, Choices) else ()),
        expected=verdict.expected,
        answer=verdict.answer,
        written=reply if isinstance(reply, str) else "",
        logprobs=() if isinstance(reply, str) else tuple(each.logprob for each in reply),
        probabilities=verdict.probabilities or (),
        scores=verdict.scores,
    )
