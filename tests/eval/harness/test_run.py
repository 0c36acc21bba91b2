"""A whole evaluation: from rows on disk to results, the same ones every time."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.harness.test_adapter import Counting
from pocketphi.artifact import Artifact, open_artifact
from pocketphi.errors import UserError
from pocketphi.eval.harness import prepare
from pocketphi.eval.harness import run as runner
from pocketphi.eval.harness.adapter import score_request
from pocketphi.eval.harness.prepare import Options, Subject
from pocketphi.eval.harness.run import evaluate
from pocketphi.eval.results import RESULTS, read_items, read_results
from pocketphi.eval.tasks.choice import judge_choice, letters
from pocketphi.eval.tasks.prompt import Format, Prompt
from pocketphi.eval.tasks.rows import Row
from pocketphi.eval.tasks.task import Asked, BenchTask, Reply, Verdict, Written
from pocketphi.runtime.backend import Backend
from pocketphi.runtime.model import Model
from pocketphi.runtime.native_backend import NativeBackend

TINS = BenchTask(
    name="tins",
    title="Tins",
    version=3,
    file="tins",
    metric="acc",
    shots=2,
    ask=letters(),
    judge=judge_choice,
    chance=0.5,
)


def _ask(row: Row, _shots: Any, form: Format) -> Asked:
    return Written(prompt=Prompt(question=row.question, cue=form.cue), max_tokens=8, stop=("\n",))


def _judge(row: Row, _asked: Asked, reply: Reply) -> Verdict:
    assert isinstance(reply, str)
    return Verdict(scores={"exact": float(reply.strip() == row.answer)}, answer=reply, expected=str(row.answer))


WORDS = BenchTask(name="words", title="Words", version=1, file="words", metric="exact", shots=0, ask=_ask, judge=_judge)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    tins = [
        {
            "id": f"tins/{i}",
            "subset": "blue" if i % 3 else "red",
            "question": f"what is in tin {i}?",
            "choices": ["the thing", f"another thing {i}"],
            "answer": i % 2,
        }
        for i in range(40)
    ]
    write(folder / "tins.test.jsonl", tins[:30])
    write(folder / "tins.train.jsonl", tins[30:])
    write(folder / "words.test.jsonl", [{"id": f"w{i}", "question": f"say {i}", "answer": "a thing"} for i in range(5)])
    return folder


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def subject(tiny_model: Model) -> Subject:
    return Subject(backend=NativeBackend(tiny_model), name="tiny", digest="0" * 64, kind="native")


def files_of(artifact: Artifact) -> dict[str, bytes]:
    return {
        path.relative_to(artifact.path).as_posix(): path.read_bytes()
        for path in sorted(artifact.path.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def test_results_hold_every_item_and_their_mean(subject: Subject, data: Path, tmp_path: Path):
    found = evaluate(subject, [TINS, WORDS], Options(data=data), tmp_path / "out")
    results = read_results(found.path)
    items = list(read_items(found.path, "tins"))
    assert len(items) == 30
    assert results.tasks["tins"].scores["acc"].value == pytest.approx(sum(i.scores["acc"] for i in items) / 30)
    assert results.tasks["tins"].scores["acc"].count == 30
    assert set(results.tasks["tins"].subsets) == {"blue", "red"}
    assert results.tasks["tins"].files.keys() == {"tins.test.jsonl", "tins.train.jsonl"}
    assert all(len(item.logprobs) == 2 and sum(item.probabilities) == pytest.approx(1) for item in items)
    written = list(read_items(found.path, "words"))
    assert len(written) == 5
    assert all(item.written for item in written)
    assert open_artifact(found.path, "benchmarks").summary["tins"]["acc"] == results.tasks["tins"].scores["acc"].value


def test_items_agree_with_the_backend_asked_by_hand(subject: Subject, data: Path, tmp_path: Path):
    """Oracle: the report's prompt, written out here, scored one by one."""
    found = evaluate(subject, [replace(TINS, shots=0)], Options(data=data, limit=6), tmp_path / "out")
    for item in read_items(found.path, "tins"):
        number = item.id.split("/")[1]
        prompt = f"Question: what is in tin {number}?\nOptions:\nA. the thing\nB. another thing {number}\nAnswer:"
        for letter, logprob in zip("AB", item.logprobs, strict=True):
            (expected,) = subject.backend.score([score_request(prompt, f" {letter}")])
            assert expected.logprob == logprob


@pytest.mark.parametrize("cached", [False, True])
def test_two_runs_give_the_same_bytes(subject: Subject, data: Path, tmp_path: Path, cached: bool):
    options = Options(data=data, limit=12, formats=3, cache=tmp_path / "answers.sqlite" if cached else None)
    first = evaluate(subject, [TINS, WORDS], options, tmp_path / "one")
    counting = Counting(subject.backend)
    second = evaluate(replaced(subject, counting), [TINS, WORDS], options, tmp_path / "two")
    assert files_of(first) == files_of(second)
    assert (counting.count == 0) == cached
    assert len(read_results(first.path).tasks["tins"].formats) == 3


@pytest.mark.parametrize("after", [0, 1])
def test_a_run_that_was_cut_goes_on_and_gives_the_same_bytes(subject: Subject, data: Path, tmp_path: Path, after: int):
    options = Options(data=data, cache=tmp_path / "answers.sqlite")
    whole = evaluate(subject, [TINS, WORDS], Options(data=data), tmp_path / "whole")
    failing = Counting(subject.backend, fail_after=after)
    out = tmp_path / "out"
    if after == 0:
        with pytest.raises(UserError, match="the line is dead"):
            evaluate(replaced(subject, failing), [TINS, WORDS], options, out)
        assert not out.exists()
    else:
        part = evaluate(replaced(subject, failing), [TINS, WORDS], options, out)
        assert part.summary["failed"] == ["words"]
        found = read_results(part.path).tasks
        assert found["tins"] == read_results(whole.path).tasks["tins"]
        assert "the line is dead" in found["words"].note
    assert files_of(evaluate(subject, [TINS, WORDS], options, out)) == files_of(whole)
    # A failure never takes the place of what is finished.
    dead = replaced(subject, Counting(subject.backend, fail_after=0))
    with pytest.raises(UserError, match="the line is dead"):
        evaluate(dead, [TINS, WORDS], Options(data=data), out)
    assert files_of(open_artifact(out, "benchmarks")) == files_of(whole)


def test_a_failure_that_comes_twice_ends_the_asking(subject: Subject, data: Path, tmp_path: Path):
    dead = Counting(subject.backend, fail_after=60)
    tasks = [TINS, WORDS, *(replace(WORDS, name=f"words_{i}") for i in range(3))]
    found = evaluate(replaced(subject, dead), tasks, Options(data=data), tmp_path / "out")
    assert found.summary["failed"] == ["words", "words_0", "words_1", "words_2"]
    assert sum("dead" in task.note for task in read_results(found.path).tasks.values()) == 4


def test_no_evaluation_takes_the_place_of_another(subject: Subject, data: Path, tmp_path: Path):
    first = evaluate(subject, [TINS], Options(data=data, limit=3), tmp_path / "out")
    before = files_of(first)
    with pytest.raises(UserError, match="other tasks or settings"):
        evaluate(subject, [TINS], Options(data=data, limit=4), tmp_path / "out")
    for _ in range(2):  # again finds its own place again
        other = evaluate(subject, [TINS], Options(data=data, limit=4), tmp_path / "out", numbered=True)
        assert other.path == tmp_path / "out-2"
    third = evaluate(subject, [WORDS], Options(data=data), tmp_path / "out", numbered=True)
    assert third.path == tmp_path / "out-3"
    assert evaluate(subject, [TINS], Options(data=data, limit=3), tmp_path / "out", numbered=True).path == first.path
    assert files_of(open_artifact(first.path, "benchmarks")) == before


def test_a_prompt_can_be_read_back(subject: Subject, data: Path, tmp_path: Path):
    found = evaluate(subject, [TINS, WORDS], Options(data=data), tmp_path / "out")
    for task in (TINS, WORDS):
        item = next(read_items(found.path, task.name))
        prompt = read_results(found.path).tasks[task.name].prompt
        assert item.question.endswith("\nAnswer:")
        assert prompt.endswith(item.question)
        assert prompt.count("Answer:") == task.shots + 1


def test_answers_are_kept_by_all_that_may_change_one(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    engine = tmp_path / "libpocketphi.so"
    monkeypatch.setattr(runner, "library_path", lambda: engine)
    monkeypatch.setattr(runner, "version", {"torch": "2.13.0"}.__getitem__)

    def paths() -> list[Path]:
        kinds = ("native", "torch", "endpoint")
        return [runner.answers_path(tmp_path, replace(subject, kind=kind)) for kind in kinds]

    engine.write_bytes(b"one build")
    before = paths()
    assert before == paths()
    assert len({*before, runner.answers_path(tmp_path, replace(subject, digest="1" * 64))}) == 4
    engine.write_bytes(b"two build")
    assert [path != kept for path, kept in zip(paths(), before, strict=True)] == [True, False, False]
    engine.write_bytes(b"one build")
    monkeypatch.setattr(runner, "version", {"torch": "2.14.0"}.__getitem__)
    assert [path != kept for path, kept in zip(paths(), before, strict=True)] == [False, True, False]


def replaced(subject: Subject, backend: Backend) -> Subject:
    return Subject(backend=backend, name=subject.name, digest=subject.digest, kind=subject.kind)


def test_a_limit_takes_the_same_items_from_every_order_of_the_file(subject: Subject, data: Path, tmp_path: Path):
    first = evaluate(subject, [TINS], Options(data=data, limit=7), tmp_path / "one")
    lines = (data / "tins.test.jsonl").read_text().splitlines(keepends=True)
    (data / "tins.test.jsonl").write_text("".join(reversed(lines)))
    second = evaluate(subject, [TINS], Options(data=data, limit=7), tmp_path / "two")
    assert [item.id for item in read_items(first.path, "tins")] == [item.id for item in read_items(second.path, "tins")]


def test_prompts_that_do_not_fit_say_how_many_examples_do(open_tiny: Callable[..., Model], data: Path, tmp_path: Path):
    model = open_tiny(load={"context": 200})
    subject = Subject(backend=NativeBackend(model), name="tiny", digest="0", kind="native")
    with pytest.raises(UserError, match=r"with 5 examples do not fit in a context of 200") as raised:
        evaluate(subject, [replace(TINS, shots=5)], Options(data=data), tmp_path / "out")
    assert raised.value.hint is not None
    fits = int(raised.value.hint.split("`--shots tins=")[1].split("`")[0])
    assert 0 <= fits < 5
    evaluate(subject, [TINS], Options(data=data, shots={"tins": fits}), tmp_path / "out")
    both = [replace(TINS, shots=5), replace(TINS, name="tons", shots=4)]
    with pytest.raises(UserError, match="2 tasks cannot be asked") as raised:
        evaluate(subject, both, Options(data=data), tmp_path / "both")
    assert f"`--shots tins={fits},tons={fits}`" in str(raised.value.hint)
    with pytest.raises(UserError, match="do not fit"):
        evaluate(subject, [TINS], Options(data=data, shots=fits + 1), tmp_path / "more")
    assert not (tmp_path / "more").exists()


def test_a_longer_run_is_compared_on_the_items_of_both(subject: Subject, data: Path, tmp_path: Path):
    short = evaluate(subject, [TINS], Options(data=data, limit=7), tmp_path / "short")
    again = Options(data=data, limit=20, formats=2, against=(short.path,))
    found = evaluate(subject, [TINS], again, tmp_path / "long")
    told = json.loads((found.path / "against-short.json").read_text())["tasks"]["tins"]
    assert (told["count"], told["paired"]["difference"], told["paired"]["p_value"]) == (7, 0, 1)
    assert told["notes"] == ["compared on 7 items; 13 have a score in one run only"]
    other = Options(data=data, limit=7, seed=2, against=(short.path,))
    drawn = evaluate(subject, [TINS], other, tmp_path / "drawn")
    told = json.loads((drawn.path / "against-short.json").read_text())
    assert told["refused"] == {"tins": ["other prompts for 7 of 7 items (seed 2 and 1)"]}
    assert "against-short.json" in drawn.manifest["files"]


def test_chat_asks_in_turns(subject: Subject, data: Path, tmp_path: Path):
    plain = evaluate(subject, [TINS], Options(data=data, limit=5), tmp_path / "plain")
    chat = evaluate(subject, [TINS], Options(data=data, limit=5, chat=True), tmp_path / "chat")
    assert read_results(chat.path).tasks["tins"].form == "report, chat"
    pairs = zip(read_items(plain.path, "tins"), read_items(chat.path, "tins"), strict=True)
    assert all(a.prompt_digest != b.prompt_digest for a, b in pairs)


def test_what_cannot_run_is_left_out_with_its_reason(
    subject: Subject, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(prepare, "why_unavailable", lambda: "no namespaces")
    code = replace(WORDS, name="code", runs_code=True)
    found = evaluate(subject, [TINS, code], Options(data=data, limit=3), tmp_path / "out")
    assert "no namespaces" in read_results(found.path).tasks["code"].note
    assert not read_results(found.path).tasks["code"].scores
    with pytest.raises(UserError, match="no namespaces"):
        evaluate(subject, [code], Options(data=data), tmp_path / "none")


def test_nothing_is_asked_before_all_data_are_there(subject: Subject, data: Path, tmp_path: Path):
    counting = Counting(subject.backend)
    missing = replace(WORDS, name="absent", file="absent")
    with pytest.raises(UserError, match=r"absent\.test_a"):
        evaluate(replaced(subject, counting), [TINS, missing], Options(data=data), tmp_path / "out")
    with pytest.raises(UserError, match="--data"):
        evaluate(replaced(subject, counting), [TINS], Options(), tmp_path / "out")
    assert counting.count == 0


def test_items_that_stand_in_the_corpus_are_found(subject: Subject, data: Path, tmp_path: Path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    asked = [
        {
            "id": f"q{i}",
            "question": f"{'why ' * i} is the tin number {i} in the shop so blue today",
            "choices": ["a", "b"],
            "answer": 0,
        }
        for i in range(8)
    ]
    write(data / "shop.test.jsonl", asked)
    (corpus / "a.txt").write_text(f"Nothing here.\n\n{asked[3]['question']}\n\nMore of it.")
    shop = replace(TINS, name="shop", file="shop", shots=0)
    found = evaluate(subject, [shop], Options(data=data, corpus=(corpus,)), tmp_path / "out")
    told = read_results(found.path).tasks["shop"].contamination
    assert {rule: each["dirty_count"] for rule, each in told.items()} == {
        "13 words": 1,
        "8 words": 1,
        "50 characters": 1,
    }
    with pytest.raises(UserError, match="absent"):
        evaluate(subject, [shop], Options(data=data, corpus=(tmp_path / "absent",)), tmp_path / "none")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"schema": 2, "tasks": {}}', b'{"schema": 1}', b"\xff"])
def test_damaged_results_are_named(tmp_path: Path, damage: bytes):
    (tmp_path / RESULTS).write_bytes(damage)
    with pytest.raises(UserError, match=r"results\.json"):
        read_results(tmp_path)
