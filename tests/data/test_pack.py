"""From documents to rows: nothing is lost, nothing comes twice, and the order can be taken up anywhere."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketphi.artifact import Artifact, open_artifact, publish
from pocketphi.data import mixture as mixture_module
from pocketphi.data.mixture import Mixture, PackedPart, best_fit, pieces
from pocketphi.data.pack import TokenShard, open_shard, pack, write_shard
from pocketphi.data.records import read_documents, write_documents
from pocketphi.errors import UserError
from pocketphi.tokenizer.train import END_OF_TEXT, load_tokenizer
from train.samples import document, write_all, write_corpus, write_tokenizer

PAD = 1


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return write_all(tmp_path_factory.mktemp("made"))


def shard_of(lengths: list[int], name: str = "web") -> TokenShard:
    """Documents of these lengths; every id is another one, from 2 on."""
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return TokenShard(name=name, ids=np.arange(2, 2 + offsets[-1], dtype=np.uint32), offsets=offsets)


def epoch_of(part: PackedPart) -> list[list[int]]:
    """The rows of one epoch, without padding."""
    epoch, rows = part.epoch, []
    while part.epoch == epoch:
        row = part.take().ids
        filled = int((row != PAD).sum())
        assert (row[filled:] == PAD).all(), "padding is at the end"
        rows.append(row[:filled].tolist())
    return rows


def test_shards_hold_every_document_and_its_end(made: dict[str, Artifact]) -> None:
    tokenizer = load_tokenizer(made["tokenizer"])
    end = tokenizer.special_ids[END_OF_TEXT]
    for name in ("web", "web_best", "lessons"):
        shard = open_shard(made["shards"], name)
        documents = list(read_documents(made["corpus"].path / f"{name}.jsonl"))
        assert shard.num_documents == len(documents) == made["shards"].summary["parts"][name]["documents"]
        for index, text in enumerate(documents):
            ids = shard.document(index)
            assert ids[-1] == end
            assert tokenizer.decode(ids[:-1].tolist()) == text.text
    assert open_shard(made["shards"], "validation").num_documents == 5


def test_ids_take_two_bytes_where_they_fit(made: dict[str, Artifact]) -> None:
    assert open_shard(made["shards"], "web").ids.dtype == np.uint16


def test_large_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    class Large:
        vocab_size = 70_000

        def __init__(self) -> None:
            self.special_ids = {END_OF_TEXT: 69_999}

        def encode(self, text: str) -> list[int]:
            return [65_536 + ord(character) for character in text]

    assert write_shard(tmp_path, "web", ["ab", ""], Large()) == {"documents": 2, "tokens": 4, "bytes": 2}
    assert np.fromfile(tmp_path / "web.bin", "<u4").tolist() == [65_633, 65_634, 69_999, 69_999]
    assert np.fromfile(tmp_path / "web.idx", "<i8").tolist() == [0, 3, 4]


def test_without_a_primer_some_documents_are_held_out(made: dict[str, Artifact], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", web=1000)
    shards = pack(corpus, None, made["tokenizer"], tmp_path / "shards", seed=1)
    counts = {name: part["documents"] for name, part in shards.summary["parts"].items()}
    assert sum(counts.values()) == 1000
    assert 1 <= counts["validation"] <= 15


def test_an_empty_corpus_is_an_error(made: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no documents"):
        pack(write_corpus(tmp_path / "corpus", web=0), None, made["tokenizer"], tmp_path / "shards", seed=1)
    assert not (tmp_path / "shards").exists()


def test_a_missing_part_is_an_error(made: dict[str, Artifact], tmp_path: Path) -> None:
    shards = pack(write_corpus(tmp_path / "corpus", web=30), None, made["tokenizer"], tmp_path / "shards", seed=1)
    with pytest.raises(UserError, match="has no part `lessons`"):
        open_shard(shards, "lessons")


@pytest.mark.parametrize("damage", ["empty", "short", "backwards"])
def test_an_index_that_does_not_fit_is_an_error(damage: str, made: dict[str, Artifact], tmp_path: Path) -> None:
    ids = np.arange(8, dtype="<u2")
    offsets = {"empty": [], "short": [0, 4], "backwards": [0, 6, 3, 8]}[damage]
    with publish(tmp_path / "shards", kind="shards", stage="shards", settings={}) as draft:
        (draft.path / "web.bin").write_bytes(ids.tobytes())
        (draft.path / "web.idx").write_bytes(np.array(offsets, "<i8").tobytes())
        draft.summary.update(parts={"web": {}}, bytes_per_id=2)
    with pytest.raises(UserError, match="does not fit"):
        open_shard(open_artifact(tmp_path / "shards"), "web")


def test_packing_is_reproducible(made: dict[str, Artifact], tmp_path: Path) -> None:
    again = pack(made["corpus"], made["primer"], made["tokenizer"], tmp_path / "again", seed=1)
    assert again.content == made["shards"].content


@given(st.lists(st.integers(1, 40), max_size=80), st.integers(40, 60))
@settings(max_examples=200, deadline=None)
def test_best_fit_loses_nothing_and_wastes_little(lengths: list[int], capacity: int) -> None:
    bins = best_fit(lengths, capacity)
    assert sorted(index for row in bins for index in row) == list(range(len(lengths)))
    filled = sorted(sum(lengths[index] for index in row) for row in bins)
    assert all(size <= capacity for size in filled)
    if len(filled) > 1:
        assert filled[0] + filled[1] > capacity, "two bins would have fitted in one"


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(2, 100), st.integers(0, 5), st.booleans())
@settings(max_examples=100, deadline=None)
def test_an_epoch_holds_every_id_once(lengths: list[int], length: int, seed: int, has_breaks: bool) -> None:
    breaks = np.random.default_rng(seed).random(2 + sum(lengths)) < 0.1 if has_breaks else None
    rows = epoch_of(PackedPart(shard_of(lengths), length=length, pad=PAD, seed=seed, breaks=breaks))
    assert sorted(id_ for row in rows for id_ in row) == list(range(2, 2 + sum(lengths)))


def test_documents_that_fit_are_never_cut() -> None:
    chance = np.random.default_rng(0)
    shard = shard_of(chance.integers(1, 64, 500).tolist())
    rows = epoch_of(PackedPart(shard, length=64, pad=PAD, seed=1))
    places = {id_: (index, place) for index, row in enumerate(rows) for place, id_ in enumerate(row)}
    for number in range(shard.num_documents):
        ids = shard.document(number).tolist()
        row, first = places[ids[0]]
        assert [places[id_] for id_ in ids] == [(row, first + step) for step in range(len(ids))]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(2, 100), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_positions_start_again_wherever_the_text_does(lengths: list[int], length: int, seed: int) -> None:
    """Within a piece ids go on as in the document; a piece of another document, or of another place, starts at 0."""
    shard = shard_of(lengths)
    document = np.repeat(np.arange(len(lengths)), lengths)
    breaks = np.random.default_rng(seed).random(2 + sum(lengths)) < 0.1
    part = PackedPart(shard, length=length, pad=PAD, seed=seed, breaks=breaks)
    while part.epoch == 0:
        row = part.take()
        assert row.positions[0] == 0
        for place in range(1, length):
            before, here = int(row.ids[place - 1]), int(row.ids[place])
            if row.positions[place] == 0:
                continue
            assert row.positions[place] == row.positions[place - 1] + 1
            if here != PAD:
                assert here == before + 1
                assert document[here - 2] == document[before - 2]


def test_long_documents_are_cut_between_paragraphs() -> None:
    shard = shard_of([100])
    breaks = np.isin(np.arange(200), [2 + 5, 2 + 15, 2 + 25, 2 + 60])  # paragraphs end behind these ids
    cuts = [piece.stop for piece in pieces(shard.ids, shard.offsets, 40, breaks)]
    # Two paragraphs in half a row; one; one that is longer than that; then there is no end, but one of the row.
    assert cuts == [16, 26, 61, 100]
    assert [piece.stop for piece in pieces(shard.ids, shard.offsets, 40)] == [40, 80, 100]


def test_little_is_padding() -> None:
    chance = np.random.default_rng(0)
    rows = epoch_of(PackedPart(shard_of(chance.integers(10, 200, 2000).tolist()), length=257, pad=PAD, seed=1))
    assert sum(map(len, rows)) / (257 * len(rows)) > 0.99


def test_epochs_and_seeds_differ_in_order() -> None:
    lengths = [7] * 300
    part = PackedPart(shard_of(lengths), length=32, pad=PAD, seed=1)
    first, second = epoch_of(part), epoch_of(part)
    other = epoch_of(PackedPart(shard_of(lengths), length=32, pad=PAD, seed=2))
    assert first != second
    assert first != other
    assert first == epoch_of(PackedPart(shard_of(lengths), length=32, pad=PAD, seed=1))


@pytest.mark.parametrize("taken", [0, 1, 17, 40, 100])
def test_a_mixture_goes_on_from_its_position(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture_module, "GROUP_DOCUMENTS", 16)

    def fresh() -> Mixture:
        parts = [shard_of([5 + number % 7 for number in range(90)], name) for name in ("web", "lessons")]
        packed = [PackedPart(shard, length=20, pad=PAD, seed=3) for shard in parts]
        return Mixture(packed, {"web": 1, "lessons": 3})

    whole, resumed = fresh(), fresh()
    for _ in range(taken):
        whole.take()
    resumed.seek(json.loads(json.dumps(whole.position)))
    for _ in range(60):
        one, other = whole.take(), resumed.take()
        assert (one.ids == other.ids).all()
        assert (one.positions == other.positions).all()
    assert whole.tokens == resumed.tokens


def test_groups_together_are_the_whole_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixture_module, "GROUP_DOCUMENTS", 16)
    rows = epoch_of(PackedPart(shard_of([9] * 100), length=20, pad=PAD, seed=3))
    assert sorted(id_ for row in rows for id_ in row) == list(range(2, 902))


def test_shares_are_kept_at_any_time() -> None:
    shares = {"web": 0.2, "lessons": 0.5, "web_best": 0.3}
    chance = np.random.default_rng(0)
    parts = [PackedPart(shard_of(chance.integers(1, 90, 99).tolist(), n), length=64, pad=PAD, seed=1) for n in shares]
    mixture = Mixture(parts, shares)
    for _ in range(300):
        mixture.take()
        given_out = sum(mixture.tokens.values())
        assert all(abs(mixture.tokens[name] - share * given_out) <= 64 for name, share in shares.items())


def test_the_next_phase_goes_on_where_the_last_one_stopped() -> None:
    shard = shard_of([9] * 100)
    first = PackedPart(shard, length=20, pad=PAD, seed=3)
    read = [first.take() for _ in range(30)]
    second = PackedPart(shard, length=20, pad=PAD, seed=3)
    second.resume(first.bookmark)
    rest = epoch_of(second)
    seen = [id_ for row in read for id_ in row.ids.tolist() if id_ != PAD] + [id_ for row in rest for id_ in row]
    assert sorted(seen) == list(range(2, 902))


def test_rows_of_another_length_start_the_next_epoch() -> None:
    first = PackedPart(shard_of([9] * 100), length=20, pad=PAD, seed=3)
    second = PackedPart(shard_of([9] * 100), length=40, pad=PAD, seed=3)
    second.resume(first.bookmark)
    assert second.epoch == 1


def test_damaged_documents_name_their_line(made: dict[str, Artifact], tmp_path: Path) -> None:
    with publish(tmp_path / "corpus", kind="corpus", stage="corpus", settings={}) as draft:
        import random

        write_documents(draft.path / "web.jsonl", [document(0, random.Random(0))])
        with (draft.path / "web.jsonl").open("a") as file:
            file.write('{"id": "1"}\n')
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    with pytest.raises(UserError, match=r"web.jsonl, line 2"):
        pack(open_artifact(tmp_path / "corpus"), None, tokenizer, tmp_path / "shards", seed=1)


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (12, 1)])
def test_a_small_corpus_spares_one_document_where_it_can(tmp_path: Path, count: int, held_out: int) -> None:
    corpus, tokenizer = write_corpus(tmp_path / "corpus", web=count), write_tokenizer(tmp_path / "tokenizer")
    parts = pack(corpus, None, tokenizer, tmp_path / "shards", seed=1).summary["parts"]
    assert parts["web"]["documents"] == count - held_out
    assert parts.get("validation", {"documents": 0})["documents"] == held_out
