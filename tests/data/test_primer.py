"""The files of the primer: the same for the same seed, and clean of what is held out."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pocketphi.artifact import Artifact, verify_artifact
from pocketphi.data.primer import generate_primer, korean, world
from pocketphi.data.primer.exercises import write_questions
from pocketphi.data.primer.lessons import fields_of
from pocketphi.data.primer.problem import Scene
from pocketphi.data.primer.skills import SKILLS, TOPICS, draw_problem
from pocketphi.data.records import read_conversations, read_documents, read_preferences, read_questions
from pocketphi.recipe import Primer

TABLE = Primer(web_bytes=900_000, lesson_bytes=500_000, num_conversations=900, num_preferences=300, num_questions=174)
SMALL = Primer(web_bytes=60_000, lesson_bytes=30_000, num_conversations=40, num_preferences=40, num_questions=29)
WORD = re.compile(r"\w+")


@pytest.fixture(scope="module")
def primer(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return generate_primer(TABLE, tmp_path_factory.mktemp("primer") / "primer", seed=1)


def texts(primer: Artifact) -> list[str]:
    """Everything that is learnt from, but the web."""
    found = [document.text for document in read_documents(primer.path / "lessons.jsonl")]
    for conversation in read_conversations(primer.path / "conversations.jsonl"):
        found += [message.content for message in conversation.messages]
    for pair in read_preferences(primer.path / "preferences.jsonl"):
        found += [pair.prompt[0].content, pair.chosen.content, pair.rejected.content]
    return found


def pages(primer: Artifact) -> list[tuple[dict[str, Any], str]]:
    """Labels with their raw pages, in order, without the broken archive."""
    labels = [json.loads(line) for line in (primer.path / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    raw = b"".join(path.read_bytes() for path in sorted((primer.path / "web").glob("0*.warc.gz")))
    bodies = re.findall(rb"WARC-Target-URI: (\S+)\r\n.*?\r\n\r\nHTTP/1.1.*?\r\n\r\n(.*?)\r\n\r\n", raw, re.DOTALL)
    by_url = {url.decode(): body.decode() for url, body in bodies}
    return [(label, by_url[label["id"]]) for label in labels if label["kind"] != "truncated_archive"]


def test_the_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pocketphi.data.primer import generate_primer; "
        "from pocketphi.recipe import Primer; "
        "table = Primer(web_bytes=60_000, lesson_bytes=30_000, num_conversations=40, num_preferences=40, "
        "num_questions=29); print(generate_primer(table, Path(sys.argv[1]), seed=5).content)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / hash_seed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "77")
    }
    assert digests == {generate_primer(SMALL, tmp_path / "here", seed=5).content + "\n"}


def test_another_seed_gives_another_primer(tmp_path: Path) -> None:
    first, second = (generate_primer(SMALL, tmp_path / str(seed), seed=seed) for seed in (1, 2))
    files = first.manifest["files"].keys() | second.manifest["files"].keys()
    same = {name for name in files if first.manifest["files"].get(name) == second.manifest["files"].get(name)}
    assert not same


def test_progress_never_goes_back_and_ends_at_its_total(tmp_path: Path) -> None:
    calls: list[tuple[float, float]] = []
    generate_primer(SMALL, tmp_path / "out", seed=1, progress=lambda done, total, _: calls.append((done, total)))
    assert len(calls) > 20
    assert calls == sorted(calls)
    assert calls[-1][0] == calls[-1][1]
    assert len({total for _, total in calls}) == 1


def test_the_files_are_whole_and_the_summary_counts_them(primer: Artifact) -> None:
    verify_artifact(primer)
    summary = primer.summary
    lessons = list(read_documents(primer.path / "lessons.jsonl"))
    assert summary["lessons"]["count"] == len(lessons)
    assert summary["lessons"]["bytes"] == sum(len(lesson.text.encode()) for lesson in lessons) >= TABLE.lesson_bytes
    assert set(summary["lessons"]["topics"]) == set(TOPICS)
    assert len(list(read_conversations(primer.path / "conversations.jsonl"))) == TABLE.num_conversations
    assert len(list(read_preferences(primer.path / "preferences.jsonl"))) == TABLE.num_preferences
    assert len(read_questions(primer.path / "questions.jsonl")) == 2 * TABLE.num_questions
    assert sum(1 for _ in read_documents(primer.path / "heldout_lessons.jsonl")) > 0
    assert summary["templates"]["known"] >= 300


def test_it_writes_twenty_megabytes_a_minute(tmp_path: Path) -> None:
    started = time.process_time()
    made = generate_primer(TABLE, tmp_path / "out", seed=3)
    seconds = time.process_time() - started
    size = sum(file["bytes"] for file in made.manifest["files"].values())
    assert size / seconds >= 20e6 / 60


def test_questions_come_in_two_tiers_of_every_topic(primer: Artifact) -> None:
    questions = read_questions(primer.path / "questions.jsonl")
    assert len({question.id for question in questions}) == len(questions)
    for tier in ("known_templates", "new_templates"):
        chosen = [question for question in questions if question.tier == tier]
        assert len(chosen) == TABLE.num_questions
        assert {question.topic for question in chosen} == set(TOPICS)
        assert len({question.question for question in chosen}) == len(chosen)
        top = Counter(question.answer for question in chosen).most_common(1)[0][1]
        assert top <= 0.15 * len(chosen), "guessing the most frequent answer must not pay"


def test_names_are_thousands_and_held_out_ones_occur_nowhere_else(primer: Artifact) -> None:
    assert len(world.NAMES) >= 2000
    assert not set(world.NAMES) & set(world.HELDOUT_NAMES)
    assert not set(korean.NAMES) & set(korean.HELDOUT_NAMES)
    heldout = set(world.HELDOUT_NAMES)
    heldout_korean = re.compile(
        rf"(?<![가-힣])(?:{'|'.join(korean.HELDOUT_NAMES)})(?:은|는|이|가|의|에게|과|와)(?![가-힣])"
    )
    for text in texts(primer):
        assert heldout.isdisjoint(WORD.findall(text)), text
        assert not heldout_korean.search(text), text
    for label, page in pages(primer):
        if "contaminated" not in label:
            assert heldout.isdisjoint(WORD.findall(page)), label
            assert not heldout_korean.search(page), label
    asked = " ".join(question.question for question in read_questions(primer.path / "questions.jsonl"))
    assert len(heldout & set(WORD.findall(asked))) > 100


def test_held_out_numbers_are_never_drawn_for_training() -> None:
    scene = Scene(Random(1))
    trained = {problem.combination for problem in (draw_problem(scene) for _ in range(20_000))} - {None}
    trained |= {(kind, values[::-1]) for kind, values in trained if kind in ("add", "multiplication", "compare")}
    asked = write_questions(Scene(Random(2), heldout=True), "known_templates", 580)
    asked += write_questions(Scene(Random(3), heldout=True, new=True), "new_templates", 580)
    combinations = {problem.combination for _, problem in asked} - {None}
    assert len(combinations) > 200
    assert not combinations & trained


def test_known_questions_use_known_patterns_and_new_ones_use_none_of_them() -> None:
    for tier, new in (("known_templates", False), ("new_templates", True)):
        for _, problem in write_questions(Scene(Random(4), heldout=True, new=new), tier, 116):
            assert (":new:" in problem.template) == new


def runs(text: str, length: int = 8) -> set[tuple[str, ...]]:
    words = WORD.findall(text.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def test_no_text_shares_eight_words_with_a_held_out_question(primer: Artifact) -> None:
    questions = read_questions(primer.path / "questions.jsonl")
    protected = set().union(*(runs(question.question) for question in questions))
    for text in texts(primer):
        assert protected.isdisjoint(runs(text)), text
    for label, page in pages(primer):
        if "contaminated" not in label:
            assert protected.isdisjoint(runs(re.sub(r"<[^>]*>", " ", page))), label


def test_conversations_are_short_and_end_in_an_answer(primer: Artifact) -> None:
    turns = Counter[int]()
    for conversation in read_conversations(primer.path / "conversations.jsonl"):
        messages = conversation.messages
        turns[len(messages) // 2] += 1
        assert [message.role for message in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert any(re.search(r"\nAnswer: .+$", message.content) for message in messages if message.role == "assistant")
        assert sum(len(message.content) for message in messages) < 900
    assert turns[1] > turns[2] > 0
    topics = Counter(skill.topic for skill in SKILLS)
    assert topics.keys() == set(TOPICS)


def test_chosen_answers_are_right_and_rejected_ones_have_the_flaw_that_is_counted(primer: Artifact) -> None:
    for pair in read_preferences(primer.path / "preferences.jsonl"):
        chosen, rejected = pair.chosen.content, pair.rejected.content
        assert chosen != rejected
        assert len(re.findall(r"^Answer: .+$", chosen, re.MULTILINE)) == 1
        right = chosen.rsplit("Answer: ", 1)[1]
        well_formed = len(re.findall(r"^Answer: .+$", rejected, re.MULTILINE)) == 1
        wrong = not rejected.endswith(f"Answer: {right}")
        bare = rejected.startswith("Answer: ")
        rambling = len(rejected) > len(chosen) + 20
        assert wrong or bare or rambling or not well_formed
    flaws = primer.summary["preferences"]["flaws"]
    assert len(flaws) >= 6
    assert min(flaws.values()) > 10


def test_a_primer_can_be_as_small_as_one_of_each(tmp_path: Path) -> None:
    table = Primer(web_bytes=1, lesson_bytes=1, num_conversations=1, num_preferences=1, num_questions=1)
    made = generate_primer(table, tmp_path / "out", seed=9)
    assert made.summary["questions"]["count"] == 2
    assert made.summary["web"]["pages"] >= 1


def test_follow_up_questions_are_about_the_same_story() -> None:
    scene = Scene(Random(6))
    seen = 0
    for problem in (draw_problem(scene) for _ in range(5000)):
        if problem.follow_up is None:
            continue
        seen += 1
        question, steps, answer = problem.follow_up
        if problem.skill == "add":
            (loss,) = (int(number) for number in re.findall(r"\d+", question))
            assert int(answer) == int(problem.answer) - loss
        else:
            assert answer in problem.question
            assert answer in steps
            assert problem.question.index(answer) < problem.question.index(problem.answer)
    assert seen > 300


def test_the_prose_of_lessons_keeps_away_from_held_out_numbers() -> None:
    scene = Scene(Random(7))
    for _ in range(2000):
        fields = fields_of(scene)
        a, b, total = fields["a"], fields["b"], fields["sum"]
        pair = tuple(sorted((a, b)))
        assert not world.is_heldout("add", pair)
        assert not world.is_heldout("multiplication", pair)
        assert not world.is_heldout("subtract", (total, b))
        assert not world.is_heldout("compare", (fields["small"], fields["big"]))
