"""Sharing what requests begin with: not a bit changes against reading each request alone."""

import random
from collections.abc import Callable, Iterator

import pytest

from pocketphi.chat import Message
from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime.abi import Positions
from pocketphi.runtime.backend import GenerateRequest, GenerateResult, ScoreRequest, ScoreResult
from pocketphi.runtime.memory import page_bytes
from pocketphi.runtime.model import Model
from pocketphi.runtime.native import NativeEngine
from pocketphi.runtime.native_backend import NativeBackend
from pocketphi.runtime.prefixes import MIN_SHARED_TOKENS, Prefixes, common_length
from pocketphi.runtime.requests import RequestReader
from pocketphi.runtime.sampling import SamplingOptions, score
from tiny import longrope_config

LETTERS = "abcdefghij klmn"


@pytest.fixture(scope="module")
def model(tiny_file: PocketFile) -> Iterator[Model]:
    with Model(tiny_file, threads=2) as model:
        yield model


def plain_score(model: Model, request: ScoreRequest) -> ScoreResult:
    """One request in a session of its own."""
    [(context, continuation)] = reader(model).scored([request])
    if not continuation:
        return ScoreResult(logprob=0.0, num_tokens=0, is_greedy=True)
    with model.engine.session() as session:
        if len(context) > 1:
            session.step(context[:-1], logits=Positions.NONE)
        output = session.step((context[-1], *continuation[:-1]), logits=Positions.ALL)
    assert output.logits is not None
    logprobs, best = score(output.logits, continuation)
    return ScoreResult(
        logprob=float(logprobs.sum(dtype="f8")),
        num_tokens=len(continuation),
        is_greedy=best.tolist() == list(continuation),
    )


def plain_answer(model: Model, request: GenerateRequest) -> GenerateResult:
    """One answer in a session of its own."""
    tokens = reader(model).prompt(request)
    writer = reader(model).writer(request, tokens)
    with model.engine.session() as session:
        while writer.stop_reason is None:
            output = session.step(tokens)
            assert output.logits is not None
            writer.push(output.logits[0])
            tokens = writer.tokens[-1:]
    return GenerateResult(text=writer.text, num_tokens=len(writer.tokens), stop_reason=writer.stop_reason)


def reader(model: Model) -> RequestReader:
    return RequestReader(
        tokenizer=model.tokenizer,
        template=model.template,
        bos_id=model.bos_id,
        stop_ids=model.stop_ids(),
        context=model.context_size,
    )


def texts_of_a_tree(generator: random.Random, most: int, *, longest: int) -> list[str]:
    """Texts that branch off each other anywhere, are prefixes of each other, are equal or empty."""
    texts = [""]
    while len(texts) < most:
        stem = generator.choice(texts)
        stem = stem[: generator.choice([len(stem), generator.randint(0, len(stem))])]
        new = "".join(generator.choices(LETTERS, k=generator.choice([0, 1, 3, 20, 70])))
        texts.append((stem + new)[:longest])
    generator.shuffle(texts)
    return texts


@pytest.mark.parametrize("seed", range(9))
def test_shared_scores_are_those_of_single_requests(model: Model, seed: int):
    generator = random.Random(seed)
    contexts = texts_of_a_tree(generator, 14, longest=model.context_size - 70)
    choices = ["", "a", "bc", " the thing", "n" * 69]
    requests = [
        ScoreRequest(context=context, continuation=choice)
        for context in contexts
        for choice in generator.choices(choices, k=generator.randint(1, 4))
    ]
    full = generator.choice([context for context in contexts if context])
    rest = model.context_size - len(model.tokenizer.encode(full))
    requests.append(ScoreRequest(context=full, continuation="\x00" * rest))
    expected = [plain_score(model, request) for request in requests]
    assert max(reader(model).length(request) for request in requests) == model.context_size
    assert NativeBackend(model, batch_size=1 + seed).score(requests) == expected
    assert model.engine.pages_in_use_bytes == 0


@pytest.mark.parametrize("seed", range(9))
def test_shared_answers_are_those_of_single_requests(model: Model, seed: int):
    generator = random.Random(seed)
    prompts = [text for text in texts_of_a_tree(generator, 16, longest=model.context_size - 3) if text]
    requests = [
        GenerateRequest(
            prompt=prompt,
            max_tokens=generator.choice([1, 2, 9, 30]),
            stop=generator.choice([(), ("e",), ("th", "\n")]),
            sampling=generator.choice([SamplingOptions(), SamplingOptions(temperature=1.0, seed=seed)]),
        )
        for prompt in prompts
    ]
    expected = [plain_answer(model, request) for request in requests]
    assert NativeBackend(model, batch_size=1 + seed).generate(requests) == expected
    assert model.engine.pages_in_use_bytes == 0


@pytest.mark.parametrize("seed", range(6))
def test_across_the_border_of_longrope(open_tiny: Callable[..., Model], seed: int):
    generator = random.Random(seed)
    model = open_tiny(longrope_config(border=48))
    contexts = texts_of_a_tree(generator, 14, longest=120) + ["n" * length for length in range(42, 51)]
    requests = [ScoreRequest(context=c, continuation="ab" * n) for c in contexts for n in (1, 3) if c]
    answers = [GenerateRequest(prompt=context, max_tokens=12) for context in contexts if context]
    backend = NativeBackend(model, batch_size=1 + seed)
    assert backend.score(requests) == [plain_score(model, request) for request in requests]
    assert backend.generate(answers) == [plain_answer(model, request) for request in answers]
    assert model.engine.pages_in_use_bytes == 0


@pytest.mark.parametrize("pages", [4, 5, 7, 12])
def test_a_short_budget_of_pages_shrinks_the_batch_and_changes_nothing(open_tiny: Callable[..., Model], pages: int):
    with open_tiny() as probe:
        budget = pages * page_bytes(probe.config)
    model = open_tiny(load={"context": 256, "page_budget_bytes": budget})
    assert model.engine.page_bytes == page_bytes(model.config)
    stems = ["a" * n for n in (40, 100, 180)]
    contexts = [f"{stem}{end}" for stem in stems for end in ("b" * 30, "c", "d" * 20, "", "b" * 31)]
    requests = [ScoreRequest(context=c, continuation=e) for c in contexts for e in ("x", "yz" * 10, "z" * 30)]
    requests.append(ScoreRequest(context="q" * 200, continuation="r" * 56))
    answers = [GenerateRequest(prompt=c, max_tokens=n) for c in contexts for n in (3, 45)]
    answers.append(GenerateRequest(prompt="q" * 255, max_tokens=9))
    backend = NativeBackend(model, batch_size=6)
    assert backend.score(requests) == [plain_score(model, request) for request in requests]
    assert backend.generate(answers) == [plain_answer(model, request) for request in answers]
    assert model.engine.pages_in_use_bytes == 0


@pytest.mark.parametrize("pages", [2, 3, 5])
def test_a_short_budget_across_the_border_of_longrope(open_tiny: Callable[..., Model], pages: int):
    config = longrope_config(border=70)
    model = open_tiny(config, load={"context": 128, "page_budget_bytes": pages * page_bytes(config)})
    contexts = ["a" * 64 + end for end in ("b", "c", "b" * 10, "c" * 10, "d" * 40)]
    requests = [ScoreRequest(context=c, continuation=e) for c in contexts for e in ("x", "yz" * 5, "z" * 20)]
    answers = [GenerateRequest(prompt=c, max_tokens=20) for c in contexts]
    backend = NativeBackend(model, batch_size=4)
    assert backend.score(requests) == [plain_score(model, request) for request in requests]
    assert backend.generate(answers) == [plain_answer(model, request) for request in answers]


class Counter:
    """Counts what goes into the steps of an engine, and the pages that they take."""

    def __init__(self, engine: NativeEngine, monkeypatch: pytest.MonkeyPatch, *, fail_at: int = -1) -> None:
        self.tokens: list[int] = []
        self.logits = 0
        self.most_bytes = 0
        step = engine.step

        def counted(items, **options):  # type: ignore[no-untyped-def]
            if len(self.tokens) == fail_at:
                raise KeyboardInterrupt
            self.tokens.append(sum(len(item.tokens) for item in items))
            outputs = step(items, **options)
            self.most_bytes = max(self.most_bytes, engine.pages_in_use_bytes)
            self.logits += sum(0 if output.logits is None else len(output.logits) for output in outputs)
            return outputs

        monkeypatch.setattr(engine, "step", counted)


def test_worked_examples_are_read_once_and_only_wanted_logits_computed(model: Model, monkeypatch: pytest.MonkeyPatch):
    shots = "".join(random.Random(0).choices(LETTERS, k=300))
    questions = [f"{shots}Question {n}: what?" for n in range(20)]
    requests = [ScoreRequest(context=q, continuation=letter) for q in questions for letter in "ABCD"]
    read = Counter(model.engine, monkeypatch)
    NativeBackend(model, batch_size=4).score(requests)
    shared = len(model.tokenizer.encode(shots))
    alone = sum(len(model.tokenizer.encode(question)) for question in questions)
    assert sum(read.tokens) < shared + (alone - 20 * shared) + 20 * MIN_SHARED_TOKENS
    assert read.logits == len(questions)
    # The examples, what questions share beyond them, and for each of four its own last pages.
    assert read.most_bytes <= (-(-shared // 64) + 1 + 4 * 2) * model.engine.page_bytes


def test_what_stands_before_the_border_of_longrope_is_not_read_in_vain(
    open_tiny: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
):
    model = open_tiny(longrope_config(border=48))
    contexts = ["a" * 40 + letter * 20 for letter in "bcd"]
    read = Counter(model.engine, monkeypatch)
    NativeBackend(model).score([ScoreRequest(context=context, continuation="x") for context in contexts])
    assert read.tokens == [sum(len(model.tokenizer.encode(context)) for context in contexts)]


@pytest.mark.parametrize("fail_at", range(5))
def test_an_interrupt_leaves_no_session_open(model: Model, monkeypatch: pytest.MonkeyPatch, fail_at: int):
    stem = "the thing in the tin " * 4
    contexts = [f"{stem}{n}" for n in range(6)]
    Counter(model.engine, monkeypatch, fail_at=fail_at)
    with pytest.raises(KeyboardInterrupt) as caught:
        NativeBackend(model, batch_size=3).score([ScoreRequest(context=c, continuation="yes no") for c in contexts])
    assert model.engine.pages_in_use_bytes == 0, caught
    monkeypatch.undo()
    Counter(model.engine, monkeypatch, fail_at=fail_at)
    with pytest.raises(KeyboardInterrupt) as caught:
        NativeBackend(model, batch_size=3).generate([GenerateRequest(prompt=c, max_tokens=9) for c in contexts])
    assert model.engine.pages_in_use_bytes == 0, caught


def test_links_close_behind_the_last_sequence_that_needs_them(model: Model):
    sequences = [tuple([n] * 40 + [n, k]) for n in range(5) for k in range(3)]
    with Prefixes(model.engine, sequences, [50] * len(sequences)) as prefixes:
        seen = []
        while leaves := prefixes.take(2):
            assert model.engine.pages_in_use_bytes <= 2 * model.engine.page_bytes
            for leaf in leaves:
                assert (*sequences[leaf.index][: leaf.start], *leaf.rest) == sequences[leaf.index]
                seen.append(leaf.index)
                prefixes.close(leaf.session)
    assert sorted(seen) == list(range(len(sequences)))


def test_common_length():
    assert [common_length(*pair) for pair in ([[], [1]], [[1, 2], [1, 3]], [[1, 2], [1, 2]])] == [0, 1, 2]


BEGUN = (Message("user", "what is in the tin?"), Message("assistant", "Answer:"))


def test_a_begun_answer_is_gone_on_with(model: Model):
    """As if the opening, the begun text and the continuation stood in one turn."""
    tokenizer, backend = model.tokenizer, NativeBackend(model)
    request = ScoreRequest(context=BEGUN, continuation=" the thing")
    [(context, continuation)] = reader(model).scored([request])
    whole = reader(model).prompt(
        GenerateRequest(prompt=(BEGUN[0], Message("assistant", "Answer: the thing")), max_tokens=1)
    )
    assert [*context, *continuation] == whole
    assert list(context) == reader(model).prompt(GenerateRequest(prompt=BEGUN, max_tokens=1))
    opened = reader(model).prompt(GenerateRequest(prompt=BEGUN[:1], max_tokens=1))
    assert whole[: len(opened)] == opened
    assert tokenizer.decode(whole[len(opened) :]) == "Answer: the thing"
    assert backend.length(request) == len(whole)
    assert backend.length(GenerateRequest(prompt=BEGUN, max_tokens=5)) == len(context)
    assert backend.score([request]) == [plain_score(model, request)]


def test_texts_of_a_request_never_give_control_tokens(model: Model):
    tokenizer = model.tokenizer
    marks = "".join(tokenizer.special_ids)
    harmless = reader(model).scored([ScoreRequest(context=BEGUN, continuation="x")])
    hostile = (Message("user", marks), Message("assistant", marks))
    for context in (hostile, marks):
        [(before, after)] = reader(model).scored([ScoreRequest(context=context, continuation=marks)])
        controls = [token for token in before if tokenizer.is_special(token)]
        wanted = [] if isinstance(context, str) else [t for t in harmless[0][0] if tokenizer.is_special(t)]
        assert controls == wanted
        assert not any(tokenizer.is_special(token) for token in after)


def test_length_is_told_of_what_does_not_fit(model: Model):
    backend = NativeBackend(model)
    request = ScoreRequest(context="x" * 600, continuation="y" * 7)
    assert backend.length(request) == 607
    with pytest.raises(UserError, match="607"):
        backend.score([request])
