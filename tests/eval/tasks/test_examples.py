"""Which worked examples a row is asked with, and which rows are left."""

import random
from dataclasses import replace

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.tasks.choice import judge_letter, letters
from pocketphi.eval.tasks.examples import draw_examples
from pocketphi.eval.tasks.passages import by_context
from pocketphi.eval.tasks.rows import Data, Row
from pocketphi.eval.tasks.task import BenchTask

_TASK = BenchTask(name="t", title="T", version=1, file="t", metric="acc", shots=3, ask=letters(), judge=judge_letter)


def _row(name: str, question: str = "", **fields: object) -> Row:
    row = Row(id=name, question=question or f"question {name}", answer=0, choices=("x", "y"))
    return replace(row, **fields)  # type: ignore[arg-type]


def _data(test: list[Row], train: list[Row] | None = None) -> Data:
    return Data(test=tuple(test), train=tuple(train or ()), files={})


_TEST = [_row(f"a{number}") for number in range(20)]
_TRAIN = [_row(f"b{number}") for number in range(20)]


def test_every_row_has_the_same_examples_of_the_train_file() -> None:
    drawn = draw_examples(_TASK, _data(_TEST, _TRAIN), seed=1)
    assert drawn.test == tuple(_TEST)
    assert len({tuple(shot.id for shot in drawn.shots(row)) for row in _TEST}) == 1
    assert len(drawn.shots(_TEST[0])) == 3
    assert all(shot in _TRAIN for shot in drawn.shots(_TEST[0]))


def test_the_draw_hangs_on_the_seed_and_not_on_the_order_of_the_file() -> None:
    mixed = random.Random(0).sample(_TRAIN, len(_TRAIN))
    first = draw_examples(_TASK, _data(_TEST, _TRAIN), seed=1).shots(_TEST[0])
    assert draw_examples(_TASK, _data(_TEST, mixed), seed=1).shots(_TEST[0]) == first
    assert draw_examples(_TASK, _data(_TEST, _TRAIN), seed=2).shots(_TEST[0]) != first


def test_fewer_examples_are_the_first_of_more() -> None:
    more = draw_examples(replace(_TASK, shots=5), _data(_TEST, _TRAIN), seed=1).shots(_TEST[0])
    assert draw_examples(_TASK, _data(_TEST, _TRAIN), seed=1).shots(_TEST[0]) == more[:3]


def test_rows_made_to_be_examples_go_first_in_the_order_of_the_file() -> None:
    train = [*_TRAIN, _row("d2", split="dev"), _row("d1", split="dev")]
    shots = draw_examples(_TASK, _data(_TEST, train), seed=1).shots(_TEST[0])
    assert [row.id for row in shots[:2]] == ["d2", "d1"]
    assert shots[2] in _TRAIN


def test_without_a_train_file_the_examples_are_left_out_of_the_score() -> None:
    drawn = draw_examples(_TASK, _data(_TEST), seed=1)
    shown, asked = {row.id for row in drawn.shots(_TEST[0])}, {row.id for row in drawn.test}
    assert len(asked) == 17
    assert not shown & asked
    assert shown | asked == {row.id for row in _TEST}


def test_what_shares_a_passage_with_an_example_is_left_out_too() -> None:
    rows = [_row(f"a{number}", context=f"passage {number // 4}") for number in range(20)]
    drawn = draw_examples(replace(_TASK, shots=2, cluster=by_context), _data(rows), seed=1)
    shown = {row.context for row in drawn.shots(rows[0])}
    assert drawn.test
    assert not shown & {row.context for row in drawn.test}
    assert len(drawn.test) == 20 - 4 * len(shown)


def test_a_row_that_is_asked_is_no_example_however_it_is_written() -> None:
    same = replace(_TEST[4], id="b-same", question="Question, A4?", choices=("Y", "x."))
    for seed in range(30):
        shots = draw_examples(_TASK, _data(_TEST, [same, *_TRAIN[:3]]), seed=seed).shots(_TEST[0])
        assert same not in shots


def test_two_examples_do_not_say_the_same() -> None:
    train = [*_TRAIN[:3], *(replace(row, id=f"again-{row.id}") for row in _TRAIN[:3])]
    shots = draw_examples(_TASK, _data(_TEST, train), seed=1).shots(_TEST[0])
    assert len({row.question for row in shots}) == 3


def test_examples_are_of_the_rows_own_subset_if_the_task_says_so() -> None:
    test = [replace(row, subset="ab"[index % 2]) for index, row in enumerate(_TEST)]
    train = [replace(row, subset="ab"[index % 2]) for index, row in enumerate(_TRAIN)]
    drawn = draw_examples(replace(_TASK, by_subset=True), _data(test, train), seed=1)
    assert all({shot.subset for shot in drawn.shots(row)} == {row.subset} for row in drawn.test)


def test_examples_that_come_with_the_task_are_used() -> None:
    own = tuple(_TRAIN[:5])
    drawn = draw_examples(replace(_TASK, worked=lambda _: own), _data(_TEST), seed=1)
    assert drawn.test == tuple(_TEST)
    assert drawn.shots(_TEST[0]) == own[:3]


def test_no_examples_are_drawn_where_none_are_wanted() -> None:
    drawn = draw_examples(replace(_TASK, shots=0), _data(_TEST), seed=1)
    assert drawn.test == tuple(_TEST)
    assert drawn.shots(_TEST[0]) == ()


@pytest.mark.parametrize(
    ("task", "data"),
    [
        (_TASK, _data(_TEST, _TRAIN[:2])),
        (_TASK, _data(_TEST[:2])),
        (_TASK, _data(_TEST[:3])),
        (_TASK, _data(_TEST, [replace(row, id=f"b{row.id}") for row in _TEST])),
        (replace(_TASK, by_subset=True), _data([replace(_TEST[0], subset="c")], _TRAIN)),
        (replace(_TASK, worked=lambda _: _TRAIN[:1]), _data(_TEST)),
    ],
    ids=["train", "test", "nothing left", "all asked", "subset", "own"],
)
def test_too_few_are_an_error_that_says_so(task: BenchTask, data: Data) -> None:
    with pytest.raises(UserError) as caught:
        draw_examples(task, data, seed=1)
    assert "`t`" in str(caught.value)
    assert caught.value.hint
