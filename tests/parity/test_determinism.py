"""The same bits for any number of threads, mix of sequences, cut of a prompt, and instruction set."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.architecture import DecoderConfig
from pocketphi.formats.pocket import PocketFile
from pocketphi.packing import WeightFormat
from pocketphi.runtime import abi
from pocketphi.runtime.abi import Isa, Positions
from pocketphi.runtime.model import Model
from pocketphi.runtime.native import NativeSession, StepItem
from tiny import longrope_config, tiny_config, write_tiny

BEST = Isa(abi.library().pp_best_isa())
ISAS = [isa.name.lower() for isa in Isa if Isa.AUTO < isa <= BEST]
LENGTH = 200


def random_tokens(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(0, 272, count).tolist()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> PocketFile:
    return write_tiny(tmp_path_factory.mktemp("bits") / "tiny.pocket", kind=WeightFormat.Q4M, group=32)


@pytest.fixture(scope="module")
def model(file: PocketFile) -> Iterator[Model]:
    with Model(file, threads=2) as model:
        yield model


@pytest.fixture(scope="module")
def border_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = tmp_path_factory.mktemp("border") / "border.pocket"
    with Model(write_tiny(path, longrope_config(border=70, sliding_window=50)), threads=2) as model:
        yield model


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 8, 33])
@pytest.mark.parametrize("max_batch_tokens", [1, 7, 64, 512])
def test_threads_and_batch_sizes(file: PocketFile, model: Model, threads: int, max_batch_tokens: int):
    tokens = random_tokens(LENGTH)
    with Model(file, threads=threads, max_batch_tokens=max_batch_tokens) as other:
        np.testing.assert_array_equal(other.logits(tokens), model.logits(tokens))
        np.testing.assert_array_equal(other.hidden(tokens), model.hidden(tokens))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("kind", "group"),
    [
        (WeightFormat.Q4, 32),
        (WeightFormat.Q4M, 64),
        (WeightFormat.Q8, 16),
        (WeightFormat.Q8M, 128),
        (WeightFormat.F16, 0),
    ],
)
def test_instruction_sets(tmp_path: Path, isa: str, kind: WeightFormat, group: int):
    for number, config in enumerate((tiny_config(), tiny_config(hidden_size=200, intermediate_size=300, head_dim=34))):
        file = write_tiny(tmp_path / f"{number}.pocket", config, kind=kind, group=group)
        tokens = random_tokens(100)
        with Model(file, threads=1, isa="scalar") as scalar, Model(file, threads=2, isa=isa) as other:
            assert other.engine.isa.name.lower() == isa
            np.testing.assert_array_equal(other.logits(tokens), scalar.logits(tokens))
            np.testing.assert_array_equal(decoded(other, tokens), scalar.logits(tokens))


def decoded(model: Model, tokens: list[int]) -> np.ndarray:
    """(T, V) logits of a sequence that grows token by token."""
    with model.engine.session() as session:
        return np.concatenate([session.step([token]).logits for token in tokens])


CUTS = st.lists(st.integers(1, 90), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(cuts=CUTS)
def test_any_cut_of_a_prompt(model: Model, cuts: list[int]):
    tokens = random_tokens(min(sum(cuts), model.context_size))
    whole = model.logits(tokens)
    with model.engine.session() as session:
        np.testing.assert_array_equal(in_pieces(session, tokens, cuts), whole)


def in_pieces(session: NativeSession, tokens: list[int], cuts: list[int]) -> np.ndarray:
    rows, start = [], 0
    for cut in cuts:
        piece = tokens[start : start + cut]
        if piece:
            rows.append(session.step(piece, logits=Positions.ALL).logits)
        start += cut
    return np.concatenate(rows)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_mix_of_sequences(model: Model, data: st.DataObject):
    """Sessions of a batch fork, rewind and grow by pieces of any size; each ends as if it were alone."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(model.engine.session()) for _ in range(3)]
        held: list[list[int]] = [[], [], []]
        for step in range(data.draw(st.integers(1, 6))):
            if data.draw(st.booleans()):
                source = data.draw(st.integers(0, len(sessions) - 1))
                if len(sessions) < 6:
                    sessions.append(stack.enter_context(sessions[source].fork()))
                    held.append(list(held[source]))
            if data.draw(st.booleans()):
                which = data.draw(st.integers(0, len(sessions) - 1))
                length = data.draw(st.integers(0, len(held[which])))
                sessions[which].rewind(length)
                del held[which][length:]
            chosen = data.draw(st.lists(st.integers(0, len(sessions) - 1), min_size=1, unique=True))
            pieces = {which: random_tokens(data.draw(st.integers(1, 70)), seed=10 * step + which) for which in chosen}
            outputs = model.engine.step(
                [
                    StepItem(session=sessions[which], tokens=piece, logits=Positions.ALL)
                    for which, piece in pieces.items()
                ]
            )
            for (which, piece), output in zip(pieces.items(), outputs, strict=True):
                held[which] += piece
                np.testing.assert_array_equal(output.logits, model.logits(held[which])[-len(piece) :])


@settings(max_examples=25, deadline=None)
@given(cuts=CUTS, rewind=st.integers(0, 199), more=st.integers(1, 60))
def test_the_border_of_longrope(border_model: Model, cuts: list[int], rewind: int, more: int):
    """The last logits of a sequence are those of computing it whole, on either side, however it came there."""
    tokens = random_tokens(min(sum(cuts), 200))
    with border_model.engine.session() as session:
        start = 0
        for cut in cuts:
            piece = tokens[start : start + cut]
            if piece:
                start += len(piece)
                last = session.step(piece).logits
                np.testing.assert_array_equal(last[0], border_model.logits(tokens[:start])[-1])
        keep = min(rewind, start)
        session.rewind(keep)
        other = random_tokens(more, seed=9)
        last = session.step(other).logits
        np.testing.assert_array_equal(last[0], border_model.logits([*tokens[:keep], *other])[-1])


def test_crossing_the_border_can_be_cancelled_and_taken_up_again(border_model: Model):
    from pocketphi.runtime.abi import Cancelled
    from pocketphi.runtime.cancel import CancelFlag

    tokens = random_tokens(80)
    with border_model.engine.session() as session:
        session.step(tokens[:70])
        flag = CancelFlag()

        def cancel(done: int, total: int) -> None:
            flag.set()

        try:
            session.step(tokens[70:], cancel=flag, progress=cancel)
        except Cancelled:
            assert session.length == 70
        else:
            session.rewind(70)
        flag.clear()
        np.testing.assert_array_equal(session.step(tokens[70:]).logits[0], border_model.logits(tokens)[-1])
        session.rewind(30)
        np.testing.assert_array_equal(session.step(tokens[30:60]).logits[0], border_model.logits(tokens[:60])[-1])


def test_last_logits_and_all_logits_agree(model: Model):
    tokens = random_tokens(130)
    with model.engine.session() as session:
        output = session.step(tokens, logits=Positions.LAST, hidden=Positions.LAST)
    np.testing.assert_array_equal(output.logits[0], model.logits(tokens)[-1])
    np.testing.assert_array_equal(output.hidden[0], model.hidden(tokens)[-1])


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> PocketFile:
    """Many blocks and groups, so that work is really divided among threads."""
    config: DecoderConfig = tiny_config(
        hidden_size=576,
        intermediate_size=1536,
        num_attention_heads=9,
        num_key_value_heads=3,
        head_dim=64,
        tie_word_embeddings=True,
        max_position_embeddings=2048,
    )
    return write_tiny(tmp_path_factory.mktemp("wide") / "wide.pocket", config, kind=WeightFormat.Q4M, group=32)


@pytest.mark.parametrize("isa", ISAS)
def test_smollm2_s_shapes(wide: PocketFile, isa: str):
    tokens = random_tokens(260)
    with Model(wide, threads=1, isa="avx2" if BEST >= Isa.AVX2 else "scalar") as one:
        expected = one.logits(tokens)
    for threads in (1, 2, 3, 8) if isa == BEST.name.lower() else (2,):
        with Model(wide, threads=threads, isa=isa) as other:
            np.testing.assert_array_equal(other.logits(tokens), expected)
            np.testing.assert_array_equal(decoded(other, tokens[:20]), expected[:20])


def test_a_mixed_step_of_prompts_and_single_tokens(model: Model, open_tiny: Callable[..., Model]):
    prompts = [random_tokens(n, seed=n) for n in (1, 2, 33, 64, 65, 150)]
    with ExitStack() as stack:
        sessions = [stack.enter_context(model.engine.session()) for _ in prompts]
        outputs = model.engine.step([StepItem(session=s, tokens=p) for s, p in zip(sessions, prompts, strict=True)])
        for prompt, output in zip(prompts, outputs, strict=True):
            np.testing.assert_array_equal(output.logits[0], model.logits(prompt)[-1])
        outputs = model.engine.step([StepItem(session=s, tokens=[5]) for s in sessions])
        for prompt, output in zip(prompts, outputs, strict=True):
            np.testing.assert_array_equal(output.logits[0], model.logits([*prompt, 5])[-1])
