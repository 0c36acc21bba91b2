"""A backend as the harness's model: the same figures as the backend's own, and as the harness's own model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from pocketphi.chat import Message
from pocketphi.errors import UserError
from pocketphi.eval.harness.adapter import HarnessModel, conversation, generate_request, marked, score_request
from pocketphi.eval.harness.answers import Answers, key_of, open_answers
from pocketphi.model.checkpoint import load_pocket, save_checkpoint
from pocketphi.runtime.backend import Backend, Capabilities, GenerateRequest, GenerateResult, ScoreRequest, ScoreResult
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.torch_backend import TorchBackend
from pocketphi.tokenizer import Tokenizer
from reference.hub_tokenizer import hub_tokenizer
from tiny import WeightFormat, write_tiny

WORDS = ("the", "thing", "in", "tin", "is", "an", "other", "Question:", "A", "B", "42", "é", "한국")


def asked(kind: str, *arguments: object) -> Instance:
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0, metadata=("task", 0, 1))


class Counting:
    """A backend that counts what it is asked, and may fail."""

    def __init__(self, backend: Backend, *, fail_after: int = 10**9) -> None:
        self.backend, self.count, self._left = backend, 0, fail_after

    @property
    def capabilities(self) -> Capabilities:
        return self.backend.capabilities

    def length(self, request: ScoreRequest | GenerateRequest) -> int | None:
        return self.backend.length(request)

    def score(self, requests: Sequence[ScoreRequest]) -> list[ScoreResult]:
        self._spend(len(requests))
        return self.backend.score(requests)

    def generate(self, requests: Sequence[GenerateRequest]) -> list[GenerateResult]:
        self._spend(len(requests))
        return self.backend.generate(requests)

    def _spend(self, number: int) -> None:
        if self._left <= 0:
            raise UserError("the line is dead")
        self._left -= number
        self.count += number


@pytest.fixture
def backend(tiny_model: Model) -> NativeBackend:
    return NativeBackend(tiny_model)


@pytest.fixture
def answers() -> Iterator[Answers]:
    with open_answers(None) as kept:
        yield kept


def requests(count: int) -> list[Instance]:
    """Contexts with a common beginning and without, a few of them twice."""
    found = []
    for index in range(count):
        shots = " ".join(WORDS[(index // 7 + i) % len(WORDS)] for i in range(6))
        found.append(asked("loglikelihood", f"{shots} {WORDS[index % 5]}:", f" {WORDS[index % len(WORDS)]}"))
    return found


def test_likelihoods_are_the_backends_own_in_the_order_asked(backend: NativeBackend, answers: Answers):
    asked_for = requests(40)
    expected = backend.score([score_request(*each.args) for each in asked_for])
    found = HarnessModel(backend, answers, name="x").loglikelihood(asked_for)
    assert found == [(each.logprob, each.is_greedy) for each in expected]


def test_nothing_is_asked_twice(backend: NativeBackend, answers: Answers):
    counting = Counting(backend)
    model = HarnessModel(counting, answers, name="x")
    first = model.loglikelihood(requests(40))
    assert counting.count == len({key_of(each.args) for each in requests(40)})
    assert model.loglikelihood(requests(40)) == first
    assert counting.count <= 40


def test_what_was_answered_before_a_failure_is_kept(backend: NativeBackend, tmp_path: Path):
    path = tmp_path / "kept" / "answers.sqlite"
    many = [asked("loglikelihood", f"{i} is", f" {i % 10}") for i in range(600)]
    with open_answers(None) as none:
        expected = HarnessModel(backend, none, name="x").loglikelihood(many)
    failing = Counting(backend, fail_after=300)
    with pytest.raises(UserError, match="dead"), open_answers(path) as kept:
        HarnessModel(failing, kept, name="x").loglikelihood(many)
    again = Counting(backend)
    with open_answers(path) as kept:
        assert HarnessModel(again, kept, name="x").loglikelihood(many) == expected
    assert again.count == 600 - failing.count


def test_a_file_that_is_no_store_of_answers_is_named(tmp_path: Path):
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(UserError, match=r"answers\.sqlite"), open_answers(path):
        pass


def test_written_answers_stop_where_the_harness_says(backend: NativeBackend, answers: Answers):
    model = HarnessModel(backend, answers, name="x")
    (whole,) = model.generate_until([asked("generate_until", "the tin", {"until": [], "max_gen_toks": 40})])
    assert len(whole) > 3
    stop = whole[2]
    (cut,) = model.generate_until([asked("generate_until", "the tin", {"until": stop, "max_gen_toks": 40})])
    assert cut == whole[: whole.index(stop)]
    with pytest.raises(UserError, match="num_beams"):
        model.generate_until([asked("generate_until", "a", {"num_beams": 4})])


@pytest.mark.parametrize(
    ("settings", "temperature"),
    [
        ({"temperature": 0.7}, 0.0),
        ({"do_sample": True, "temperature": 0.7}, 0.7),
        ({"do_sample": True, "temperature": 0}, 0.0),
    ],
)
def test_only_a_task_that_samples_is_sampled(settings: dict[str, object], temperature: float):
    assert generate_request("x", settings).sampling.temperature == temperature


def test_spaces_at_the_end_of_a_context_belong_to_the_continuation():
    assert score_request("one two  ", "three") == ScoreRequest(context="one two", continuation="  three")


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_conversation_comes_through_as_it_was(texts: list[str]):
    turns = tuple(Message("assistant" if index % 2 else "user", text) for index, text in enumerate(texts))
    assert conversation(marked(turns)) == turns
    assert score_request(marked(turns), " A").context == turns


def test_whole_texts_are_read_once_and_fully(backend: NativeBackend, answers: Answers):
    model = HarnessModel(backend, answers, name="x")
    short = "the thing in the tin is another thing"
    (found,) = model.loglikelihood_rolling([asked("loglikelihood_rolling", short)])
    assert found == backend.score([ScoreRequest(context="", continuation=short)])[0].logprob
    long = " ".join(f"{WORDS[i % len(WORDS)]}{i}" for i in range(400))
    parts = model._windows(long)
    assert "".join(part for _, part in parts) == long
    assert all(
        backend.length(ScoreRequest(context=a, continuation=b)) <= backend.capabilities.max_context for a, b in parts
    )  # type: ignore[operator]
    (total,) = model.loglikelihood_rolling([asked("loglikelihood_rolling", long)])
    assert total < 0


def test_the_same_figures_as_the_harness_own_model(tmp_path: Path, answers: Answers, one_thread: None):
    """Oracle: `HFLM` on the folder that holds the weights of the packed file."""
    file = write_tiny(tmp_path / "tiny.pocket", kind=WeightFormat.BF16, group=0)
    tokenizer = Tokenizer.from_json(file.tokenizer_json)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "tokenizer.json").write_bytes(file.tokenizer_json)
    save_checkpoint(load_pocket(file.path), folder / "model", tokenizer_dir=folder)
    theirs = HFLM(
        pretrained=str(folder / "model"),
        tokenizer=hub_tokenizer(tokenizer),
        dtype="float32",
        device="cpu",
        batch_size=8,
        max_length=512,
    )
    ours = HarnessModel(TorchBackend.open(file.path), answers, name="x")
    asked_for = requests(500)
    for (mine, greedy), (other, is_greedy) in zip(
        ours.loglikelihood(asked_for), theirs.loglikelihood(asked_for, disable_tqdm=True), strict=True
    ):
        assert abs(mine - other) <= 1e-4
        assert greedy == is_greedy
