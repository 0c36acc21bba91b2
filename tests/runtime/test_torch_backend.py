"""The torch backend: the same answers as the engine, and as one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pocketphi.architecture import DecoderConfig
from pocketphi.chat import Message, template_by_name
from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile
from pocketphi.model.checkpoint import load_pocket, save_checkpoint
from pocketphi.runtime.backend import Backend, GenerateRequest, ScoreRequest
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.torch_backend import TorchBackend
from pocketphi.runtime.writer import StopReason
from tiny import WeightFormat, longrope_config, tiny_config, tiny_tokenizer, write_tiny

pytestmark = pytest.mark.usefixtures("one_thread")

QUESTIONS = ["the thing in the tin", "an", "", "what is it?"]
ANSWERS = [" is", " is another thing", "", "x", "the the the"]
CHATML = template_by_name("chatml")


def pocket(path: Path, config: DecoderConfig | None = None) -> PocketFile:
    """A tiny model of 16-bit weights, which both runtimes read exactly."""
    return write_tiny(path / "tiny.pocket", config, kind=WeightFormat.BF16, group=0)


def torch_backend(file: PocketFile, batch_size: int = 8) -> TorchBackend:
    return TorchBackend.open(file.path, batch_size=batch_size)


@pytest.fixture(params=["plain", "windowed", "tied", "longrope"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> PocketFile:
    configs = {
        "plain": tiny_config(),
        "windowed": tiny_config(sliding_window=9),
        "tied": tiny_config(tie_word_embeddings=True),
        "longrope": longrope_config(border=32),
    }
    return pocket(tmp_path, configs[request.param])


def scores() -> list[ScoreRequest]:
    requests = [ScoreRequest(context=q, continuation=a) for q in QUESTIONS for a in ANSWERS if q + a]
    return [*requests, *(ScoreRequest(context="a" * 28, continuation=" b" * n) for n in (1, 3, 12))]


def test_scores_are_those_of_the_engine(file: PocketFile):
    with Model(file, threads=1) as model:
        expected = NativeBackend(model).score(scores())
    found = torch_backend(file).score(scores())
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.num_tokens == theirs.num_tokens
        # The engine computes with 8-bit activations on quantized weights only; here both are 16-bit weights.
        assert ours.logprob == pytest.approx(theirs.logprob, abs=0.02 * max(1, theirs.num_tokens))


@pytest.mark.parametrize("sampling", [SamplingOptions(), SamplingOptions(temperature=1.0, seed=3)])
def test_a_batch_gives_what_single_requests_give(file: PocketFile, sampling: SamplingOptions):
    requests = [
        GenerateRequest(prompt=f"{word} {n}" * (1 + n % 4), max_tokens=3 + 5 * n, sampling=sampling)
        for n, word in enumerate("abcdefgh")
    ]
    batched = torch_backend(file, batch_size=3).generate(requests)
    single = torch_backend(file, batch_size=1).generate(requests)
    assert batched == single
    assert {result.stop_reason for result in batched} <= {StopReason.LENGTH, StopReason.END}


def test_greedy_answers_are_what_reading_everything_anew_gives(file: PocketFile):
    backend = torch_backend(file)
    tokenizer = tiny_tokenizer()
    prompt = "the thing in the tin"
    [answer] = backend.generate([GenerateRequest(prompt=prompt, max_tokens=24)])
    tokens = tokenizer.encode(prompt)
    with torch.inference_mode():
        for _ in range(answer.num_tokens):
            hidden = backend.model(torch.tensor([tokens]))
            tokens.append(int(backend.model.logits(hidden[0, -1]).argmax()))
    assert tokenizer.decode(tokens[len(tokenizer.encode(prompt)) :]) == answer.text


def test_scores_do_not_depend_on_the_batch(file: PocketFile):
    one, many = torch_backend(file, batch_size=1).score(scores()), torch_backend(file).score(scores()[::-1])[::-1]
    assert [result.is_greedy for result in one] == [result.is_greedy for result in many]
    np.testing.assert_allclose([r.logprob for r in one], [r.logprob for r in many], rtol=1e-4, atol=1e-4)


def test_choices_of_one_token_are_read_together(tmp_path: Path):
    backend, read = torch_backend(pocket(tmp_path)), []
    backend.model.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].shape[0]))
    requests = [ScoreRequest(context=q, continuation=letter) for q in ("the thing", "what is it?") for letter in "xyz"]
    together = backend.score(requests)
    assert read == [2]
    alone = [backend.score([request])[0] for request in requests]
    assert [result.is_greedy for result in together] == [result.is_greedy for result in alone]
    np.testing.assert_allclose([r.logprob for r in together], [r.logprob for r in alone], rtol=1e-4, atol=1e-4)


def test_a_begun_answer_is_gone_on_with_as_in_the_engine(tmp_path: Path):
    file = pocket(tmp_path)
    begun = (Message("user", "what is it?"), Message("assistant", "Answer: the"))
    scored = ScoreRequest(context=begun, continuation=" thing")
    asked = GenerateRequest(prompt=begun, max_tokens=12)
    backend = torch_backend(file)
    with Model(file, threads=1) as model:
        native = NativeBackend(model)
        assert backend.generate([asked]) == native.generate([asked])
        assert [backend.length(each) for each in (scored, asked)] == [native.length(each) for each in (scored, asked)]
        assert backend.score([scored])[0].logprob == pytest.approx(native.score([scored])[0].logprob, abs=0.05)


def test_a_checkpoint_opens_with_its_own_chat_form(tmp_path: Path):
    file = pocket(tmp_path)
    model = load_pocket(file.path)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_bytes(file.tokenizer_json)
    save_checkpoint(model, tmp_path / "saved", tokenizer_dir=tmp_path / "tokenizer")
    backend: Backend = TorchBackend.open(tmp_path / "saved", template="chatml")
    conversation = GenerateRequest(prompt=(Message("user", "the tin"),), max_tokens=12)
    with Model(file, threads=1) as native:
        [expected] = NativeBackend(native).generate([conversation])
    assert backend.generate([conversation]) == [expected]
    assert backend.capabilities.max_context == model.config.max_position_embeddings


def test_bf16_stays_near(tmp_path: Path):
    file = pocket(tmp_path)
    exact = torch_backend(file)
    rough = TorchBackend(exact.model, tiny_tokenizer(), template=CHATML, stop_ids=frozenset(), precision="bf16")
    for ours, theirs in zip(rough.score(scores()), exact.score(scores()), strict=True):
        assert ours.logprob == pytest.approx(theirs.logprob, rel=0.05, abs=0.2)


def test_a_small_model_takes_one_thread_and_gives_the_others_back(tmp_path: Path):
    backend, seen = torch_backend(pocket(tmp_path)), []
    backend.model.register_forward_hook(lambda *_: seen.append(torch.get_num_threads()))
    torch.set_num_threads(2)
    backend.score(scores())
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2


def test_what_does_not_fit_is_refused(tmp_path: Path):
    backend = torch_backend(pocket(tmp_path))
    for odd in (
        lambda: backend.score([ScoreRequest(context="x" * 600, continuation="y")]),
        lambda: backend.generate([GenerateRequest(prompt="x" * 600, max_tokens=1)]),
        lambda: backend.generate([GenerateRequest(prompt="", max_tokens=1)]),
        lambda: TorchBackend(backend.model, tiny_tokenizer(), template=CHATML, stop_ids=frozenset(), batch_size=0),
    ):
        with pytest.raises(UserError):
            odd()
