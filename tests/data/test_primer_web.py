"""The raw web of the primer, read with other people's tools."""

import gzip
import json
import re
import struct
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text

from pocketphi.artifact import Artifact
from pocketphi.data.primer import generate_primer, warc
from pocketphi.data.primer.lessons import Block
from pocketphi.data.primer.pages_junk import with_noise
from pocketphi.data.primer.problem import Scene
from pocketphi.data.records import read_questions
from pocketphi.recipe import Primer

TABLE = Primer(web_bytes=2_500_000, lesson_bytes=10_000, num_conversations=1, num_preferences=1, num_questions=174)
WORD = re.compile(r"\w+")


@pytest.fixture(scope="module")
def primer(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return generate_primer(TABLE, tmp_path_factory.mktemp("primer") / "primer", seed=1)


@pytest.fixture(scope="module")
def pages(primer: Artifact) -> dict[str, bytes]:
    found = {}
    for path in sorted((primer.path / "web").glob("0*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
                found[record.headers["WARC-Target-URI"]] = record.reader.read()
    return found


@pytest.fixture(scope="module")
def labels(primer: Artifact) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (primer.path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]


def text_of(page: bytes) -> str:
    return str(extract_plain_text(page.decode(), main_content=True))


def test_every_page_has_one_label(pages: dict[str, bytes], labels: list[dict[str, Any]]) -> None:
    whole = [label["id"] for label in labels if label["kind"] != "truncated_archive"]
    assert len(set(whole)) == len(whole)
    assert set(whole) == set(pages)


def test_kinds_are_many_and_junk_is_at_most_sixty_percent(
    primer: Artifact, pages: dict[str, bytes], labels: list[dict[str, Any]]
) -> None:
    sizes = Counter[str]()
    for label in labels:
        sizes[label["label"]] += len(pages.get(label["id"], b""))
    assert 0.4 < sizes["junk"] / sizes.total() <= 0.6
    assert primer.summary["web"]["junk_share"] == pytest.approx(sizes["junk"] / sizes.total(), abs=0.01)
    kinds = {name: {label["kind"] for label in labels if label["label"] == name} for name in ("good", "junk")}
    assert len(kinds["good"]) >= 10
    assert len(kinds["junk"]) >= 12
    assert not kinds["good"] & kinds["junk"]
    for split in ("development", "unseen"):
        assert {label["label"] for label in labels if label["split"] == split} == {"good", "junk"}


def test_addresses_give_nothing_away(labels: list[dict[str, Any]]) -> None:
    hosts = {
        name: {label["id"].split("/")[2] for label in labels if label["label"] == name} for name in ("good", "junk")
    }
    assert len(hosts["good"] & hosts["junk"]) > 100
    assert not [label["id"] for label in labels if label["kind"] in label["id"].split("/")]


def test_good_pages_hold_text_after_extraction(pages: dict[str, bytes], labels: list[dict[str, Any]]) -> None:
    good = [label for label in labels if label["label"] == "good"]
    for label in good:
        text = text_of(pages[label["id"]])
        assert len(text.split()) >= 50, label
        assert "Answer: " in text, label
    assert {label["language"] for label in good} == {"en", "ko"}


def test_pages_look_like_the_web(pages: dict[str, bytes], labels: list[dict[str, Any]]) -> None:
    good = [pages[label["id"]].decode() for label in labels if label["label"] == "good"]
    for mark in ("<nav", "<footer", "<script", "<table", "<!--", "&copy;", "cookie", 'class="ad"', "<aside", "<pre>"):
        share = sum(mark in page or mark.upper() in page for page in good) / len(good)
        assert 0.005 < share < 0.9, mark
    assert len({page[:40] for page in good}) > 3


def test_near_duplicates_are_near(pages: dict[str, bytes], labels: list[dict[str, Any]]) -> None:
    def shingles(page: bytes) -> set[tuple[str, ...]]:
        words = text_of(page).split()
        return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}

    copies = [label for label in labels if label["kind"] == "near_duplicate"]
    assert len(copies) > 30
    alike = []
    for label in copies:
        assert label["noise"] <= 0.02
        first, second = shingles(pages[label["id"]]), shingles(pages[label["near_duplicate_of"]])
        alike.append(len(first & second) / len(first | second))
    assert sum(alike) / len(alike) > 0.75
    good = [label["id"] for label in labels if label["label"] == "good"][:60]
    sets = [shingles(pages[url]) for url in good]
    others = [len(a & b) / len(a | b) for i, a in enumerate(sets) for b in sets[:i]]
    assert max(others) < 0.6, "good pages that nobody copied are different"


def test_planted_questions_are_there_and_nowhere_else(
    primer: Artifact, pages: dict[str, bytes], labels: list[dict[str, Any]]
) -> None:
    def runs(text: str) -> set[str]:
        words = WORD.findall(text.lower())
        return {" ".join(words[start : start + 8]) for start in range(len(words) - 7)}

    questions = {question.id: question for question in read_questions(primer.path / "questions.jsonl")}
    protected = set().union(*(runs(question.question) for question in questions.values()))
    planted = [label for label in labels if label["kind"] == "contaminated"]
    assert len(planted) >= 8
    for label in labels:
        if label["id"] not in pages or label["kind"] == "broken_markup":
            continue
        found = runs(re.sub(r"<[^>]*>", " ", pages[label["id"]].decode()))
        if label["kind"] == "contaminated":
            for name in label["contaminated"]:
                assert found & runs(questions[name].question), label
        else:
            assert not found & protected, label
    assert len({name for label in planted for name in label["contaminated"]}) == len(planted)


def test_the_broken_archive_breaks_off(primer: Artifact) -> None:
    with pytest.raises(EOFError):
        gzip.decompress((primer.path / "web" / "truncated.warc.gz").read_bytes())


def test_a_record_is_a_gzip_member_without_time_or_compressor(tmp_path: Path) -> None:
    body = bytes(range(256)) * 700
    member = warc.record("http://a.example/", body, 3)
    assert gzip.decompress(member).endswith(body + b"\r\n\r\n")
    assert struct.unpack("<I", member[4:8]) == (0,)
    assert b"WARC-Date: 2024-01-01T00:00:03Z" in member
    assert member == warc.record("http://a.example/", body, 3)
    assert member != warc.record("http://a.example/", body, 4)
    path = tmp_path / "one.warc.gz"
    warc.write_file(path, [warc.info(0), member])
    with path.open("rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True)
        assert [record.reader.read() for record in records] == [body]


def test_noise_replaces_no_more_words_than_it_says() -> None:
    words = [f"word{number}" for number in range(400)]
    blocks = [
        Block("paragraph", " ".join(words[:150])),
        Block("example", " ".join(words[150:200]), "\n".join(words[200:])),
    ]
    for share, replaced in ((0.0, 0), (0.005, 2), (0.02, 8)):
        noisy = with_noise(Scene(Random(1)), blocks, share)
        kept = [word for block in noisy for word in f"{block.text} {block.more}".split() if word in words]
        assert len(words) - len(kept) == replaced
        assert [block.kind for block in noisy] == [block.kind for block in blocks]
