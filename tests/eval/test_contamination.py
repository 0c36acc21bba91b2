"""Planted items are found, clean ones are not, and every form of a corpus is read."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from pocketphi.artifact import open_artifact, publish
from pocketphi.chat import Conversation, Message, Preference
from pocketphi.data.pack import pack
from pocketphi.data.records import (
    Document,
    write_conversations,
    write_documents,
    write_preferences,
)
from pocketphi.errors import UserError
from pocketphi.eval.contamination import CHARACTERS, LONG, RULES, SHORT, contamination_of, overlap
from pocketphi.eval.tasks.rows import Row
from pocketphi.eval.training_texts import Read, read_training_texts
from pocketphi.recipe import TokenizerTable
from pocketphi.tokenizer.train import train_tokenizer
from tests.eval.made_results import made_item

OPENINGS = (
    "Which of the following best explains why", "A student wants to find out how", "Read the story and say what",
    "If all of the statements above are true, then", "According to the table,", "In the long run,",
)  # fmt: skip
RNG = Random(20)
WORDS = [
    "".join(RNG.choice("bcdfglmnprst") + RNG.choice("aeiou") for _ in range(RNG.randint(1, 4))) for _ in range(3000)
]
WEIGHTS = [1 / (rank + 5) for rank in range(3000)]


def sentence(rng: Random, least: int = 14, most: int = 40) -> str:
    words = rng.choices(WORDS, WEIGHTS, k=rng.randint(least, most))
    return f"{rng.choice(OPENINGS)} {' '.join(words)}?"


def clean_texts(count: int, seed: int) -> Iterator[str]:
    rng = Random(seed)
    for _ in range(count):
        yield " ".join(sentence(rng) for _ in range(rng.randint(2, 6)))


def rows(count: int, seed: int, prefix: str = "q") -> list[Row]:
    rng = Random(seed)
    return [
        Row(
            id=f"{prefix}{index}",
            question=sentence(rng),
            answer=rng.randrange(4),
            choices=tuple(" ".join(rng.choices(WORDS, WEIGHTS, k=4)) for _ in range(4)),
        )
        for index in range(count)
    ]


def changed(text: str, rng: Random) -> str:
    """Upper case, other punctuation, other spaces, marks of Markdown."""
    words = [rng.choice((str.upper, str.title, str.lower))(word) for word in text.rstrip("?").split()]
    marks = [
        f"**{word}**" if rng.random() < 0.1 else word + rng.choice(("", "", ",", ";", "\n", "  ")) for word in words
    ]
    return " ".join(marks) + rng.choice(("", ".", " ?"))


def inside(text: str, rng: Random) -> str:
    return f"{sentence(rng)} {text} {sentence(rng)}"


def test_every_planted_item_is_found_and_hardly_a_clean_one() -> None:
    rng = Random(4)
    planted = {kind: rows(100, seed, kind) for seed, kind in enumerate(("exact", "changed", "cut"))}
    clean = rows(10_000, 77)
    corpus = list(clean_texts(10_000, 99))
    corpus += [inside(row.question, rng) for row in planted["exact"]]
    corpus += [inside(changed(row.question, rng), rng) for row in planted["changed"]]
    for row in planted["cut"]:
        words = row.question.split()
        middle = len(words) // 2
        corpus += [inside(" ".join(words[:middle]), rng), inside(" ".join(words[middle:]), rng)]
    rng.shuffle(corpus)
    found = overlap({"planted": [row for each in planted.values() for row in each], "clean": clean}, corpus)
    for rule in RULES:
        ids = found["planted"].found[rule]
        assert all(row.id in ids for row in planted["exact"]), rule
        assert sum(row.id in ids for row in planted["changed"]) >= 95, rule
        assert len(found["clean"].found[rule]) <= 0.001 * len(clean), rule
    assert sum(row.id in found["planted"].found[SHORT] for row in planted["cut"]) >= 95
    assert not found["clean"].unjudged


def test_rules_differ_as_they_say() -> None:
    rng = Random(6)
    words = rng.sample([word for word in WORDS if len(word) >= 6], 30)
    row = Row(id="a", question=" ".join(words), answer="x")

    def found(*texts: str) -> set[str]:
        result = overlap({"task": [row]}, texts)["task"]
        return {rule for rule in RULES if result.found[rule]}

    assert found(" ".join(words)) == {LONG, SHORT, CHARACTERS}
    assert found(" ".join(words[5:18])) == {LONG, CHARACTERS}
    assert found(" ".join(words[5:17])) == {CHARACTERS}
    assert found(" ".join(words[5:11])) == set()
    # 8 words of each 10 in two documents, 24 of 30 words: never 13 in a row.
    eights = [" ".join(words[start : start + 8]) for start in (0, 11, 22)]
    assert SHORT in found(*eights)
    assert LONG not in found(*eights)
    assert found(*eights[:2]) <= {CHARACTERS}
    # Two documents side by side are not one.
    assert found(" ".join(words[:6]), " ".join(words[6:12])) == set()


def test_a_short_or_common_question_needs_its_answer_beside_it() -> None:
    short = Row(id="short", question="What do bees make?", answer=0, choices=("golden honey", "wax paper"))
    common = [
        Row(id=f"common{i}", question="Which one of the following can be inferred from the passage above?", answer=text)
        for i, text in enumerate(("the mayor had lied", "prices fell in spring"))
    ]
    tiny = Row(id="tiny", question="freeze bananas", answer="peel them and lay the slices on a cold tray")
    none = Row(id="none", question="2 + 2", answer="4")
    asked = [short, *common, tiny, none]

    def found(*texts: str) -> frozenset[str]:
        result = overlap({"task": asked}, texts)["task"]
        assert result.unjudged == {"none"}
        assert len({result.found[rule] for rule in RULES}) == 1
        return result.found[LONG]

    assert found("What do bees make? Nobody knows.", "golden honey", common[0].question) == frozenset()
    assert found("Question: what do bees make?\nAnswer: Golden honey.") == {"short"}
    assert found(f"{common[0].question} That the mayor had lied.") == {"common0"}
    assert found("How to freeze bananas: peel them, and lay the slices on a cold tray.") == {"tiny"}
    assert found("2 + 2 is 4") == frozenset()


def test_phrases_of_a_task_are_no_leak() -> None:
    told = "Answer with one of the words below and nothing else, after you have thought about it step by step."
    asked = [Row(id=row.id, question=f"{told} {row.question}", answer="x") for row in rows(40, 3)]
    found = overlap({"task": asked}, [f"{told} What is your name?", asked[7].question])["task"].found
    assert all(ids == {"q7"} for ids in found.values()), found
    alike = [Row(id=row.id, question=told, answer=f"the answer is {row.question}") for row in asked]
    assert len(overlap({"task": alike}, [told])["task"].unjudged) == 40


def test_languages_without_spaces_and_odd_texts() -> None:
    row = Row(id="a", question="地球から月までの距離はどのくらいですか。答えは一つだけ選んでください。", answer="x")
    found = overlap({"task": [row]}, ["", "\0", "?", "前の文。" + row.question])["task"].found
    assert found[LONG] == found[SHORT] == {"a"}
    assert overlap({"task": []}, ["a b c"])["task"].found[LONG] == frozenset()


def test_batches_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = rows(200, 8)
    corpus = [row.question for row in asked[:20]] + list(clean_texts(50, 1))
    whole = overlap({"task": asked}, corpus)
    monkeypatch.setattr("pocketphi.eval.contamination._BATCH", 1)
    assert overlap({"task": asked}, corpus) == whole


def test_scores_with_and_without_the_items_that_were_seen() -> None:
    asked = rows(60, 9)
    found = overlap({"task": asked}, [row.question for row in asked[:20]])["task"]
    items = [made_item(row.id, acc=float(index < 20 or index % 2)) for index, row in enumerate(asked)]
    told = contamination_of(found, items, "acc")[LONG]
    assert (told["count"], told["dirty_count"], told["share"]) == (60, 20, pytest.approx(1 / 3))
    assert (told["all"]["value"], told["clean"]["value"], told["dirty"]["value"]) == pytest.approx((40 / 60, 0.5, 1.0))
    assert json.loads(json.dumps(told)) == told
    assert contamination_of(overlap({"task": asked}, [])["task"], items, "acc")[LONG]["dirty"] is None


def texts_at(*paths: Path) -> tuple[list[str], Read]:
    read = Read()
    return list(read_training_texts(paths, read)), read


def test_any_folder_of_texts_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two")
    (tmp_path / "b.jsonl").write_text('{"messages": [{"role": "user", "content": "three"}], "n": 4}\n{"text": "fi\n')
    (tmp_path / "inner").mkdir()
    with gzip.open(tmp_path / "inner" / "c.jsonl.gz", "wt") as file:
        file.write('{"text": "six"}\n' * 1000)
    cut = tmp_path / "inner" / "d.txt.gz"
    cut.write_bytes(gzip.compress(b"seven " * 9)[:-9])
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("eight")
    texts, read = texts_at(tmp_path)
    assert texts[:4] == ["one two", "user\nthree", '{"text": "fi', "six"]
    assert (read.texts >= 1003, read.damaged, read.skipped) == (True, 2, 1)
    assert not any("eight" in text for text in texts)
    with pytest.raises(UserError, match="does not exist"):
        texts_at(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no text"):
        texts_at(tmp_path / "empty")


def test_a_long_text_is_read_in_pieces_that_cut_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketphi.eval.training_texts._PIECE", 5_000)
    asked = rows(60, 5)
    (tmp_path / "book.txt").write_text("\n".join(inside(row.question, Random(i)) for i, row in enumerate(asked)))
    texts, _ = texts_at(tmp_path)
    assert len(texts) > 4
    found = overlap({"task": asked}, texts)["task"].found
    assert all(len(found[rule]) == 60 for rule in RULES)


def test_what_our_stages_made_is_read_but_for_what_is_held_out(tmp_path: Path) -> None:
    asked = rows(6, 12)
    questions = [row.question for row in asked]
    primer, corpus = tmp_path / "primer", tmp_path / "corpus"
    with publish(primer, kind="primer", stage="primer", settings={}) as draft:
        write_documents(draft.path / "lessons.jsonl", documents(questions[:1]))
        turns = (Message("user", questions[1]), Message("assistant", "yes"))
        write_conversations(draft.path / "conversations.jsonl", [Conversation(turns)])
        pair = Preference((Message("user", "?"),), Message("assistant", questions[2]), Message("assistant", "no"))
        write_preferences(draft.path / "preferences.jsonl", [pair])
        write_documents(draft.path / "heldout_lessons.jsonl", documents(questions[3:4]))
    with publish(corpus, kind="corpus", stage="corpus", settings={}) as draft:
        write_documents(draft.path / "web.jsonl", documents(questions[4:5]))
        write_documents(draft.path / "dropped_samples.jsonl", documents(questions[5:]))
    seen = [overlap({"t": asked}, texts_at(path)[0])["t"].found[LONG] for path in (primer, corpus, tmp_path)]
    assert seen == [{"q0", "q1", "q2"}, {"q4"}, {"q0", "q1", "q2", "q4"}]


def test_shards_are_read_with_the_tokenizer_beside_them(tmp_path: Path) -> None:
    asked = rows(3, 15)
    texts = [row.question for row in asked] + list(clean_texts(20, 2))
    with publish(tmp_path / "corpus", kind="corpus", stage="corpus", settings={}) as draft:
        write_documents(draft.path / "web.jsonl", documents(texts))
    corpus = open_artifact(tmp_path / "corpus")
    made = train_tokenizer(TokenizerTable(vocab_size=320), texts, tmp_path / "tokenizer", seed=1)
    pack(corpus, None, made, tmp_path / "shards", seed=1)
    found = overlap({"t": asked}, texts_at(tmp_path / "shards")[0])["t"].found[LONG]
    assert len(found) >= 2  # one document is held out
    (tmp_path / "tokenizer").rename(tmp_path / "elsewhere.partial")
    (tmp_path / "elsewhere.partial" / "manifest.json").unlink()
    with pytest.raises(UserError, match="is not beside it"):
        texts_at(tmp_path / "shards")


def documents(texts: Sequence[str]) -> list[Document]:
    return [Document(id=f"d{index}", text=text, source="test", license="CC0") for index, text in enumerate(texts)]
