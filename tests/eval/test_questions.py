"""Evaluation: the figures are those of the answers, whatever gives them."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pocketphi.artifact import open_artifact, publish
from pocketphi.chat import Message
from pocketphi.data.records import Question
from pocketphi.errors import UserError
from pocketphi.eval.compare import compare, over_seeds
from pocketphi.eval.questions import choose, evaluate, lesson_cost, read_samples, score
from pocketphi.formats.pocket import PocketFile
from pocketphi.recipe import Evaluate
from pocketphi.runtime.backend import Capabilities, GenerateRequest, GenerateResult, ScoreRequest, ScoreResult
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.writer import StopReason

TABLE = Evaluate(num_questions=50, num_lessons=3, max_new_tokens=20)
QUESTIONS = [
    Question(id=f"q{number}", topic=topic, tier=tier, question=f"{topic} {number} + 1?", answer=str(number + 1))
    for number, (topic, tier) in enumerate(
        (topic, tier) for tier in ("known_templates", "new_templates") for topic in ("sums", "ages") for _ in range(20)
    )
]


@dataclass
class Adder:
    """Adds one, and slips on every question that ends in a digit of `slips`."""

    slips: str = ""
    max_context: int = 400

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(logits=False, logprobs=True, grammar=False, max_context=self.max_context)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        return [self._answer(request) for request in requests]

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        """One bit a byte, one token a word."""
        assert all(len((r.context + r.continuation).encode()) < self.max_context for r in requests)
        return [
            ScoreResult(
                logprob=-math.log(2) * len(r.continuation.encode()),
                num_tokens=len(r.continuation.split()),
                is_greedy=False,
            )
            for r in requests
        ]

    def _answer(self, request: GenerateRequest) -> GenerateResult:
        if isinstance(request.prompt, str):
            assert request.prompt.endswith("?\n")
            assert request.stop == ("\n\n",)
            question, more = request.prompt, "\n\nanother question\nAnswer: 0"
        else:
            [message] = request.prompt
            assert message.role == "user"
            question, more = message.content, ""
        number = int(question.split()[1])
        if str(number)[-1] in self.slips:
            return GenerateResult(text="I go on and on", num_tokens=20, stop_reason=StopReason.LENGTH)
        text = f"{number} + 1 = {number + 1}.\nAnswer: {number + 1}.{more}"
        return GenerateResult(text=text, num_tokens=9, stop_reason=StopReason.END)


def test_figures_are_those_of_the_answers(tmp_path: Path):
    found = evaluate(TABLE, Adder("37"), QUESTIONS, tmp_path / "evaluation", parents=())
    results = json.loads((found.path / "results.json").read_text())
    samples = read_samples(found)
    assert len(samples) == results["all"]["count"] == 80
    right = sum(str(number)[-1] not in "37" for number in range(80))
    assert results["all"]["right"] == right == 64
    accuracy = right / 80
    assert results["figures"]["accuracy"] == accuracy
    assert results["all"]["standard_error"] == pytest.approx(math.sqrt(accuracy * (1 - accuracy) / 80))
    assert results["figures"]["ended_fraction"] == results["figures"]["answered_fraction"] == accuracy
    for tier in ("known_templates", "new_templates"):
        assert results["tiers"][tier]["count"] == 40
        by_topic = results["topics"][tier]
        assert sum(row["right"] for row in by_topic.values()) == results["tiers"][tier]["right"]
        assert {name: row["count"] for name, row in by_topic.items()} == {"sums": 20, "ages": 20}
    assert found.summary["accuracy"] == accuracy
    assert results["lessons"] is None


def test_a_base_model_is_asked_as_lessons_are_written_and_judged_by_its_first_answer(tmp_path: Path):
    found = evaluate(TABLE, Adder(), QUESTIONS, tmp_path / "evaluation", parents=(), form="document")
    assert found.summary["accuracy"] == 1.0


def test_form_and_parents_make_another_evaluation(tmp_path: Path):
    with publish(tmp_path / "parent", kind="checkpoint", stage="sft", settings={}) as draft:
        (draft.path / "weights").write_text("1")
    parent = open_artifact(tmp_path / "parent")
    inputs = {
        evaluate(TABLE, Adder(), QUESTIONS, tmp_path / "out", parents=parents, form=form).inputs
        for parents in ((), (parent,))
        for form in ("chat", "document")
    }
    assert len(inputs) == 4


def test_the_same_questions_are_asked_in_whatever_order_they_come():
    few = choose(QUESTIONS, 7)
    assert few == choose(QUESTIONS[::-1], 7)
    assert [question.tier for question in few].count("known_templates") == 7
    assert set(choose(QUESTIONS, 6)) < set(few)
    assert {question.topic for question in few} == {"sums", "ages"}


def test_lessons_cost_what_the_backend_says_and_long_ones_are_read_in_parts():
    texts = ["one two three", "word " * 300 + "end", "\uc0ac\uacfc " * 200 + "x" * 900 + " tail", "alone"]
    cost = lesson_cost(Adder(), texts)
    assert cost.bits_per_byte == pytest.approx(1.0)
    assert cost.standard_error == pytest.approx(0.0, abs=1e-12)
    assert cost.num_documents == 3, "a single word has nothing to predict"
    # What is given, not scored, is the first word of each part.
    assert 0.9 * sum(len(text.encode()) for text in texts[:3]) - 900 < cost.num_bytes
    with pytest.raises(UserError, match="no text of two words"):
        lesson_cost(Adder(), ["alone", ""])


def test_nothing_to_ask_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="no held-out questions"):
        evaluate(TABLE, Adder(), [], tmp_path / "evaluation", parents=())
    assert not (tmp_path / "evaluation").exists()


def test_lessons_alone_are_measured_without_questions(tmp_path: Path):
    lessons = ["one two three", "alone", "four five six seven"]
    found = evaluate(TABLE, Adder(), (), tmp_path / "evaluation", parents=(), lessons=lessons)
    cost = lesson_cost(Adder(), [lessons[0], lessons[2]])
    assert found.summary["bits_per_byte"] == cost.bits_per_byte
    assert found.summary["perplexity"] == cost.perplexity
    assert found.summary["documents"] == 2
    assert not any("accuracy" in name for name in found.summary)
    assert read_samples(found) == []
    assert "tokens_per_second" not in found.manifest["measured"]


@pytest.mark.parametrize("lessons", [[], ["alone"]])
def test_lessons_with_nothing_to_read_leave_no_figures(tmp_path: Path, lessons: list[str]):
    found = evaluate(TABLE, Adder(), (), tmp_path / "evaluation", parents=(), lessons=lessons)
    assert found.summary == {"form": "chat", "documents": 0}


def test_a_damaged_sample_names_its_line(tmp_path: Path):
    found = evaluate(TABLE, Adder(), QUESTIONS, tmp_path / "evaluation", parents=())
    path = found.path / "samples.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "{", *lines[2:]]) + "\n")
    with pytest.raises(UserError, match=r"samples.jsonl, line 2"):
        read_samples(found)


def test_a_real_model_goes_through(tiny_file: PocketFile, tmp_path: Path):
    progress: list[tuple[float, float]] = []
    with Model(tiny_file, threads=1) as model:
        found = evaluate(
            Evaluate(num_questions=3, num_lessons=2, max_new_tokens=8),
            NativeBackend(model),
            QUESTIONS,
            tmp_path / "evaluation",
            parents=(),
            lessons=["the thing in the tin " * 60, "a tin"],
            progress=lambda done, total, figures: progress.append((done, total)),
        )
    results = json.loads((found.path / "results.json").read_text())
    assert results["all"]["count"] == 6
    assert 0 < results["figures"]["bits_per_byte"] < 20
    assert results["figures"]["perplexity"] > 1
    assert results["lessons"]["num_documents"] == 2
    assert progress[-1][0] == progress[-1][1]


def test_a_paired_difference_is_sharper_than_two_accuracies(tmp_path: Path):
    good, worse = (
        read_samples(evaluate(TABLE, Adder(slips), QUESTIONS, tmp_path / slips, parents=())) for slips in ("3", "37")
    )
    found = compare(good, worse)
    assert (found.only_first, found.only_second, found.count) == (8, 0, 80)
    assert found.difference == pytest.approx(score(good).accuracy - score(worse).accuracy)
    assert found.difference == pytest.approx(0.1)
    assert found.standard_error < math.hypot(score(good).standard_error, score(worse).standard_error)
    assert found.p_value == pytest.approx(2 / 2**8)
    assert found.same_answers == pytest.approx(0.9)
    opposite = compare(worse, good)
    assert (opposite.difference, opposite.p_value) == (-found.difference, found.p_value)
    assert compare(good, good).p_value == 1.0
    with pytest.raises(UserError, match="different questions"):
        compare(good, worse[1:])


def test_means_over_seeds():
    found = over_seeds([0.6, 0.7, 0.8])
    assert found.mean == pytest.approx(0.7)
    assert found.standard_error == pytest.approx(0.1 / math.sqrt(3))
    assert over_seeds([0.5]).standard_error is None
    with pytest.raises(UserError):
        over_seeds([])


def test_a_conversation_reaches_the_model_in_its_own_form(tiny_file: PocketFile):
    with Model(tiny_file, threads=1) as model:
        backend = NativeBackend(model)
        [asked] = backend.generate([GenerateRequest(prompt=(Message("user", "the tin"),), max_tokens=12)])
        assert asked.text == "".join(model.session().reply("the tin", max_tokens=12))
