"""What a model knows: held-out questions answered by generation, held-out lessons read for their cost.

Everything goes through a `Backend`, so one function measures a checkpoint of any stage, the 4-bit file and
the baselines alike. A model that has learnt to chat is asked in its chat form; a base model is given the
question as its lessons write one, and goes on.

Answers are greedy and count if what stands after `Answer:` is exactly right (`eval.answers`). Accuracies
come with the binomial standard error. The cost of a lesson is the model's negative log likelihood of all
but its first word, which is given: bits per byte compare across tokenizers, perplexity per token does not.

`results.json` holds the figures, `samples.jsonl` every prompt, answer and verdict, in the order asked.
"""

import hashlib
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from pocketphi.artifact import Artifact, Progress, no_progress, open_artifact, publish
from pocketphi.chat import Message
from pocketphi.data.records import Question
from pocketphi.errors import UserError, shown
from pocketphi.eval.answers import final_answer, is_correct
from pocketphi.recipe import Evaluate, settings_of
from pocketphi.runtime.backend import Backend, GenerateRequest, GenerateResult, ScoreRequest
from pocketphi.runtime.writer import StopReason

Form = Literal["chat", "document"]
"""How a model is asked."""
_EXAMPLE_END = "\n\n"
"""What separates a worked example from the rest of a lesson."""
_AT_ONCE = 64
"""Requests between two looks at the progress."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """How many of some questions were answered right."""

    right: int
    count: int

    @property
    def accuracy(self) -> float:
        return self.right / self.count

    @property
    def standard_error(self) -> float:
        """Of the accuracy, binomial."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.count)

    def to_json(self) -> dict[str, float]:
        return {
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "right": self.right,
            "count": self.count,
        }


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One question, and what became of it."""

    id: str
    topic: str
    tier: str
    question: str
    expected: str
    written: str
    """All that the model wrote."""
    answer: str | None
    """What it said after `Answer:`; None if it never did."""
    is_correct: bool
    stop_reason: str
    num_tokens: int

    @property
    def ended(self) -> bool:
        """Whether the model ended its turn itself."""
        return self.stop_reason == StopReason.END


@dataclass(frozen=True, kw_only=True)
class LessonCost:
    """What held-out text costs a model."""

    bits_per_byte: float
    standard_error: float
    """Of the bits per byte, from the spread over documents."""
    nats_per_token: float
    num_tokens: int
    num_bytes: int
    num_documents: int

    @property
    def perplexity(self) -> float:
        """Per token."""
        return math.exp(min(self.nats_per_token, 700.0))


def evaluate(
    table: Evaluate,
    backend: Backend,
    questions: Sequence[Question],
    out: Path,
    *,
    parents: Sequence[Artifact],
    progress: Progress = no_progress,
    form: Form = "chat",
    lessons: Iterable[str] | None = None,
    stage: str = "evaluate",
) -> Artifact:
    """Measure a model and publish an `evaluation`.

    Args:
        questions: held-out ones; of each tier at most `table.num_questions` are asked, the same ones every time.
            There may be none where lessons are given.
        parents: what is measured, and where the questions are from.
        progress: in requests; its figures hold the accuracy so far.
        form: `chat` asks in the backend's chat form, `document` as lessons are written.
        lessons: texts that the model has not seen, of which `table.num_lessons` are read, if the backend gives
            log probabilities and they have two words. If none is left and nothing is asked, there are no figures.

    Raises:
        UserError: there are neither questions nor lessons, a prompt does not fit in the backend's context, or `out`
            cannot be written.
    """
    asked = choose(questions, table.num_questions)
    if not asked and lessons is None:
        raise UserError("there are no held-out questions", hint="make the primer again, or give questions or lessons")
    read = _readable(backend, islice(lessons or (), table.num_lessons))
    settings = {**settings_of(table), "form": form}
    with publish(out, kind="evaluation", stage=stage, settings=settings, parents=parents) as draft:
        total = len(asked) + len(read)
        samples: list[Sample] = []
        started = time.perf_counter()
        for begin in range(0, len(asked), _AT_ONCE):
            samples += ask(backend, asked[begin : begin + _AT_ONCE], form=form, max_tokens=table.max_new_tokens)
            right = sum(sample.is_correct for sample in samples)
            progress(len(samples), total, {"accuracy": right / len(samples)})
        if samples:
            seconds = time.perf_counter() - started
            draft.measured["tokens_per_second"] = sum(sample.num_tokens for sample in samples) / seconds
        cost = lesson_cost(backend, read) if read else None
        results = summarise(samples, cost)
        write_samples(draft.path / "samples.jsonl", samples)
        text = json.dumps({"form": form, **results}, indent=1, sort_keys=True, ensure_ascii=False)
        (draft.path / "results.json").write_text(text + "\n", encoding="utf-8")
        draft.summary.update(form=form, **results["figures"])
        if not samples:
            draft.summary["documents"] = 0 if cost is None else cost.num_documents
        names = ("accuracy",) if samples else ("bits_per_byte",)
        progress(total, total, {name: value for name, value in results["figures"].items() if name in names})
    return open_artifact(out, "evaluation")


def choose(questions: Iterable[Question], most: int) -> list[Question]:
    """At most so many of each tier, by a digest of their ids: the same for every model, whatever their order."""
    by_tier: dict[str, list[Question]] = defaultdict(list)
    for question in sorted(questions, key=lambda question: hashlib.sha256(question.id.encode()).digest()):
        by_tier[question.tier].append(question)
    return [question for tier in sorted(by_tier) for question in by_tier[tier][:most]]


def ask(backend: Backend, questions: Sequence[Question], *, form: Form, max_tokens: int) -> list[Sample]:
    """Answers to questions, greedy, in their order."""
    stop = () if form == "chat" else (_EXAMPLE_END,)
    requests = [
        GenerateRequest(prompt=_prompt(question.question, form), max_tokens=max_tokens, stop=stop)
        for question in questions
    ]
    return [_judge(*pair, form) for pair in zip(questions, backend.generate(requests), strict=True)]


def lesson_cost(backend: Backend, texts: Sequence[str]) -> LessonCost:
    """What texts cost, each read by itself; one that the context may not hold is read in parts.

    Raises:
        UserError: no text has two words.
    """
    # A token stands for at least one byte, so a part of so many bytes fits with any vocabulary.
    room = backend.capabilities.max_context - 1
    parts = [(index, part) for index, text in enumerate(texts) for part in _parts(text, room)]
    results = backend.score([ScoreRequest(context=head, continuation=rest) for _, (head, rest) in parts])
    nats: dict[int, float] = defaultdict(float)
    sizes: dict[int, int] = defaultdict(int)
    for (index, (_, rest)), result in zip(parts, results, strict=True):
        nats[index] -= result.logprob
        sizes[index] += len(rest.encode())
    num_bytes, num_tokens = sum(sizes.values()), sum(result.num_tokens for result in results)
    if not num_bytes or not num_tokens:
        raise UserError("the held-out lessons hold no text of two words")
    per_byte = sum(nats.values()) / num_bytes
    spread = math.sqrt(sum((nats[index] - per_byte * sizes[index]) ** 2 for index in sizes)) / num_bytes
    return LessonCost(
        bits_per_byte=per_byte / math.log(2),
        standard_error=spread / math.log(2),
        nats_per_token=sum(nats.values()) / num_tokens,
        num_tokens=num_tokens,
        num_bytes=num_bytes,
        num_documents=len(sizes),
    )


def summarise(samples: Sequence[Sample], cost: LessonCost | None) -> dict[str, Any]:
    """The figures of an evaluation, as `results.json` holds them."""
    tiers = sorted({sample.tier for sample in samples})
    of_tier = {tier: [sample for sample in samples if sample.tier == tier] for tier in tiers}
    whole = score(samples) if samples else None
    figures: dict[str, float] = {}
    if whole is not None:
        figures = {
            "accuracy": whole.accuracy,
            "standard_error": whole.standard_error,
            "ended_fraction": sum(sample.ended for sample in samples) / len(samples),
            "answered_fraction": sum(sample.answer is not None for sample in samples) / len(samples),
            "tokens_per_answer": sum(sample.num_tokens for sample in samples) / len(samples),
            **{f"accuracy_{tier}": score(of_tier[tier]).accuracy for tier in tiers},
        }
    if cost is not None:
        figures.update(bits_per_byte=cost.bits_per_byte, perplexity=cost.perplexity)
    return {
        "figures": figures,
        "all": None if whole is None else whole.to_json(),
        "tiers": {tier: score(of_tier[tier]).to_json() for tier in tiers},
        "topics": {tier: _by_topic(of_tier[tier]) for tier in tiers},
        "lessons": None if cost is None else asdict(cost),
    }


def score(samples: Iterable[Sample]) -> Score:
    """How many are right."""
    verdicts = [sample.is_correct for sample in samples]
    return Score(right=sum(verdicts), count=len(verdicts))


def write_samples(path: Path, samples: Iterable[Sample]) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for sample in samples:
            file.write(json.dumps({**asdict(sample), "ended": sample.ended}, ensure_ascii=False) + "\n")


def read_samples(evaluation: Artifact) -> list[Sample]:
    """Every verdict of a finished evaluation. Raises `UserError` at a damaged line."""
    path = evaluation.path / "samples.jsonl"
    samples = []
    text = path.read_text(encoding="utf-8").rstrip("\n")
    for number, line in enumerate(text.split("\n") if text else [], 1):
        try:
            row = json.loads(line)
            del row["ended"]
            samples.append(Sample(**row))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number}: {shown(error)}", hint="evaluate the model again") from None
    return samples


def _by_topic(samples: Sequence[Sample]) -> Mapping[str, Any]:
    topics: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        topics[sample.topic].append(sample)
    return {topic: score(topics[topic]).to_json() for topic in sorted(topics)}


def _prompt(question: str, form: Form) -> str | tuple[Message, ...]:
    return (Message("user", question),) if form == "chat" else question + "\n"


def _judge(question: Question, result: GenerateResult, form: Form) -> Sample:
    answer = final_answer(result.text, first=form == "document")
    return Sample(
        id=question.id,
        topic=question.topic,
        tier=question.tier,
        question=question.question,
        expected=question.answer,
        written=result.text,
        answer=answer,
        is_correct=is_correct(answer, question.answer),
        stop_reason=result.stop_reason.value,
        num_tokens=result.num_tokens,
    )


def _readable(backend: Backend, texts: Iterable[str]) -> list[str]:
    """Those that have something to score; none if the backend scores nothing."""
    if not backend.capabilities.logprobs:
        return []
    room = backend.capabilities.max_context - 1
    return [text for text in texts if any(_parts(text, room))]


def _parts(text: str, room: int) -> Iterable[tuple[str, str]]:
    """(first word, rest) of parts of at most `room` bytes, cut between words where that is possible."""
    rest = text.strip()
    while rest:
        part = rest.encode()[:room].decode(errors="ignore")
        if len(part) < len(rest) and not rest[len(part)].isspace() and (cut := part.rfind(" ")) > 0:
            part = part[:cut]
        rest = rest[len(part) :].lstrip()
        head, space, tail = part.rstrip().partition(" ")
        if tail:
            yield head, space + tail
