import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from data.pages import LESSON, archive, html, paragraphs, record
from pocketphi.artifact import Artifact, publish
from pocketphi.data import shard
from pocketphi.data.curate import curate
from pocketphi.data.education import own_sample
from pocketphi.data.primer import generate_primer
from pocketphi.data.records import Document, Question, read_documents, write_documents, write_questions
from pocketphi.data.sources import corpus_settings
from pocketphi.errors import UserError
from pocketphi.recipe import Curate, Primer, settings_of

QUESTION = "A tank holds 417 litres and loses 13 litres each minute. After how many minutes is it empty?"
PARTS = ("web", "web_best", "lessons")


def good_page(number: int) -> str:
    """Three of the best rated texts in a row: long enough for every rule."""
    texts = [
        rated.text for rated in own_sample() if rated.score == 5 and rated.text.isascii() and len(rated.text) > 300
    ]
    return "\n\n".join(random.Random(number).sample(texts, 3))


def write_pages(folder: Path, count: int = 12) -> Path:
    records = [record(f"http://good/{n}", html(paragraphs(good_page(n))).encode()) for n in range(count)]
    records += [
        record("http://copy/0", html(paragraphs(good_page(0))).encode()),
        record("http://near/1", html(paragraphs(good_page(1) + " The end of it.")).encode()),
        record("http://leak/2", html(paragraphs(good_page(100) + "\n\n" + QUESTION)).encode()),
        record("http://leak/3", html(paragraphs(good_page(101) + "\n\n" + QUESTION.lower())).encode()),
        record("http://german", html("<p>" + "Der Hund schläft im Garten, weil es warm ist. " * 9 + "</p>").encode()),
        record("http://short", html("<p>Only a few words of the day are here, and that is all.</p>").encode()),
        record("http://empty", html("").encode()),
        record("http://gone", b"", status="404 Not Found"),
        record("http://binary", b"\x00\x01" * 3000),
        record(
            "http://people",
            html("".join(f"<p>Name{n} Sur{n}, n{n}@example.org, 212-555-01{n:02}</p>" for n in range(30))).encode(),
        ),
        record(
            "http://sale",
            html(
                "".join(
                    f"<p>Sale {n}! Buy the best of shoes and be happy with model {n * 7} today!</p>" for n in range(9)
                )
            ).encode(),
        ),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pages.warc.gz").write_bytes(archive(records) + archive([record("http://cut", LESSON.encode())])[:-30])
    (folder / "own.md").write_text("---\ntitle: x\n---\n# Own notes\n\n" + good_page(50))
    return folder


def documents(corpus: Artifact, part: str) -> list[Document]:
    return list(read_documents(corpus.path / f"{part}.jsonl"))


def funnel_of(corpus: Artifact) -> dict[str, Mapping[str, Any]]:
    return {step["step"]: step for step in corpus.summary["funnel"]}


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("curated")
    return curate(
        Curate(),
        None,
        [write_pages(folder / "pages")],
        folder / "corpus",
        seed=1,
        protected=[QUESTION],
        num_processes=1,
    )


def test_good_pages_stay_and_the_rest_goes_with_a_reason(curated: Artifact) -> None:
    kept = {document.source for part in PARTS for document in documents(curated, part)}
    assert {f"http://good/{n}" for n in range(2, 12)} <= kept
    assert len(kept & {"http://good/0", "http://copy/0"}) == 1
    assert len(kept & {"http://good/1", "http://near/1"}) == 1
    assert any(source.endswith("own.md") for source in kept)
    assert len(kept) == 13
    steps = funnel_of(curated)
    assert steps["read"]["reasons"] == {"http status": 1, "truncated record": 1}
    assert steps["text"]["reasons"] == {"binary": 1, "no text": 1}
    assert steps["personal data"]["reasons"] == {"list of people": 1}
    assert steps["language"]["reasons"] == {"de": 1}
    assert steps["rules"]["dropped"] + steps["education"]["dropped"] == 2
    assert steps["held-out questions"]["reasons"] == {"whole question": 2}
    assert steps["exact duplicates"]["dropped"] == steps["near duplicates"]["dropped"] == 1


def test_every_page_is_in_exactly_one_place(curated: Artifact) -> None:
    funnel = curated.summary["funnel"]
    for before, after in itertools.pairwise(funnel):
        assert before["kept"] == after["kept"] + after["dropped"]
        assert after["dropped"] == sum(after["reasons"].values())
    assert funnel[0]["kept"] + funnel[0]["dropped"] == 25
    assert funnel[-1]["kept"] == curated.summary["kept"] == sum(curated.summary["parts"].values())
    ids = Counter(document.id for part in PARTS for document in documents(curated, part))
    assert set(ids.values()) == {1}


def test_samples_of_what_was_dropped_carry_step_and_reason(curated: Artifact) -> None:
    samples = documents(curated, "dropped_samples")
    told = {(sample.metadata["step"], sample.metadata["reason"]) for sample in samples}
    assert ("held-out questions", "whole question") in told
    assert ("language", "de") in told
    assert ("near duplicates", "alike") in told


def test_the_best_pages_are_apart_from_the_rest(curated: Artifact) -> None:
    web, best = documents(curated, "web"), documents(curated, "web_best")
    assert len(best) == round(0.3 * 13)
    assert min(page.metadata["education"] for page in best) >= max(page.metadata["education"] for page in web)


def test_the_result_depends_on_pages_and_table_alone(curated: Artifact, tmp_path: Path) -> None:
    again = curate(
        Curate(),
        None,
        [write_pages(tmp_path / "elsewhere")],
        tmp_path / "c",
        seed=1,
        protected=[QUESTION],
        num_processes=2,
    )
    assert again.content == curated.content
    assert again.inputs == curated.inputs
    assert not (tmp_path / "c.work").exists()


def test_a_killed_run_goes_on_where_it_was(curated: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = write_pages(tmp_path / "pages")
    done: list[str] = []
    write = shard.write_shard

    def killed_after_one(judge: shard.Judge, source: shard.Source, out: Path) -> int:
        if done:
            raise KeyboardInterrupt
        done.append(source.name)
        return write(judge, source, out)

    def run() -> Artifact:
        return curate(Curate(), None, [pages], tmp_path / "c", seed=1, protected=[QUESTION], num_processes=1)

    monkeypatch.setattr("pocketphi.data.curate.write_shard", killed_after_one)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not (tmp_path / "c").exists()
    again: list[str] = []
    monkeypatch.setattr(
        "pocketphi.data.curate.write_shard", lambda j, s, out: (again.append(s.name), write(j, s, out))[1]
    )
    assert run().content == curated.content
    assert len(again) == 1
    assert not set(again) & set(done)


def test_the_control_keeps_every_page_that_has_text(tmp_path: Path) -> None:
    pages = write_pages(tmp_path / "pages")
    corpus = curate(Curate(filter=False), None, [pages], tmp_path / "c", seed=1, protected=[QUESTION], num_processes=1)
    sources = {document.source for document in documents(corpus, "web")}
    assert {
        "http://copy/0",
        "http://near/1",
        "http://german",
        "http://sale",
        "http://short",
        "http://people",
    } <= sources
    assert not {"http://leak/2", "http://empty", "http://binary", "http://gone"} & sources
    assert documents(corpus, "web_best") == []


def test_an_empty_corpus_says_what_dropped_the_pages(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    for number in range(3):
        (tmp_path / "pages" / f"{number}.txt").write_text("Too short to read.")
    with pytest.raises(UserError, match="no page is left of 3: `rules` dropped 3, most for `too few words`"):
        curate(Curate(), None, [tmp_path / "pages"], tmp_path / "c", seed=1)
    assert not (tmp_path / "c").exists()
    with pytest.raises(UserError, match="no pages to curate"):
        curate(Curate(), None, [], tmp_path / "c", seed=1)


def test_lessons_lose_copies_and_held_out_questions(tmp_path: Path) -> None:
    write_pages(tmp_path / "pages")
    with publish(tmp_path / "primer", kind="primer", stage="primer", settings={}, seed=1) as draft:
        write_pages(draft.path / "web")
        write_questions(
            draft.path / "questions.jsonl",
            [Question(id="1", topic="t", tier="new_templates", question=QUESTION, answer="33")],
        )
        texts = [LESSON, LESSON + " And so on.", LESSON, f"{LESSON} {QUESTION}"]
        write_documents(
            draft.path / "lessons.jsonl",
            (Document(id=str(n), text=text, source="primer", license="x") for n, text in enumerate(texts)),
        )
        write_documents(draft.path / "heldout_lessons.jsonl", [])
    from pocketphi.artifact import open_artifact

    primer = open_artifact(tmp_path / "primer")
    corpus = curate(Curate(), primer, [], tmp_path / "c", seed=1, num_processes=1)
    assert [lesson.id for lesson in documents(corpus, "lessons")] == ["0", "1"]
    assert corpus.summary["lessons"] == {"kept": 2, "dropped": {"exact duplicates": 1, "held-out questions": 1}}


def test_settings_name_the_content_of_folders(tmp_path: Path) -> None:
    assert corpus_settings(Curate(), []) == settings_of(Curate())
    one = corpus_settings(Curate(), [write_pages(tmp_path / "a")])
    assert one == corpus_settings(Curate(), [write_pages(tmp_path / "b")])
    (tmp_path / "b" / "own.md").write_text("changed")
    assert one != corpus_settings(Curate(), [tmp_path / "b"])


def test_hidden_labels_of_unseen_kinds_agree(tmp_path: Path) -> None:
    primer = generate_primer(
        Primer(web_bytes=1_500_000, lesson_bytes=100_000, num_conversations=4, num_preferences=2, num_questions=100),
        tmp_path / "primer",
        seed=11,
    )
    corpus = curate(Curate(), primer, [], tmp_path / "c", seed=1, num_processes=1)
    kept = {document.source for part in ("web", "web_best") for document in documents(corpus, part)}
    labels = [json.loads(line) for line in (primer.path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    originals = {row["near_duplicate_of"]: row["id"] for row in labels if "near_duplicate_of" in row}
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for row in labels:
        if row["kind"] == "contaminated":
            name, is_right = "contaminated", row["id"] not in kept
        elif row["kind"] == "near_duplicate":
            name, is_right = "duplicates", not {row["id"], row["near_duplicate_of"]} <= kept
        elif row["label"] == "good":
            name, is_right = "good", bool({row["id"], originals.get(row["id"])} & kept)
        else:
            name, is_right = "junk", row["id"] not in kept
        for kind in (name, f"{name}, {row['split']}"):
            right[kind] += is_right
            total[kind] += 1
    rates = {kind: right[kind] / total[kind] for kind in total}
    assert rates["contaminated"] == 1.0, rates
    assert all(rate >= 0.95 for rate in rates.values()), rates


def test_a_leak_on_a_dozen_own_pages_leaves_none(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    cut = QUESTION.rsplit(maxsplit=1)[0]
    for number in range(12):
        (tmp_path / "pages" / f"{number}.md").write_text(f"{good_page(number)}\n\n{cut}")
        (tmp_path / "pages" / os.fsdecode(b"caf\xe9%d.txt" % number)).write_text(good_page(number + 20))
    corpus = curate(Curate(), None, [tmp_path / "pages"], tmp_path / "c", seed=1, protected=[QUESTION], num_processes=1)
    kept = [document for part in PARTS for document in documents(corpus, part)]
    assert kept
    assert not any(cut in document.text for document in kept)
    assert funnel_of(corpus)["held-out questions"]["dropped"] == 12


def test_a_corpus_is_not_written_into_its_pages(tmp_path: Path) -> None:
    pages = write_pages(tmp_path / "pages")
    with pytest.raises(UserError, match="one holds the other"):
        curate(Curate(), None, [pages], pages / "corpus", seed=1)
    assert not (pages / "corpus").exists()
