"""HumanEval and MBPP: how a model is asked, and how a program is put together from its reply."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.sandbox.run import Program, run_many, why_unavailable
from pocketphi.eval.tasks.code import (
    CODE,
    humaneval,
    humaneval_program,
    judge_humaneval,
    judge_mbpp,
    mbpp,
    mbpp_program,
)
from pocketphi.eval.tasks.prompt import REPORT
from pocketphi.eval.tasks.rows import Row, load_data
from pocketphi.eval.tasks.task import Asked, Reply, Verdict, Written
from pocketphi.formats.pocket import PocketFile
from pocketphi.tokenizer import Tokenizer

HEAD = '''import math
from typing import List


def area(radius: float) -> float:
    return math.pi * radius ** 2


def widest(radii: List[float]) -> float:
    """ The largest area of circles.
    >>> widest([])
    0.0
    """
'''
CHECK = """

METADATA = {}


def check(candidate):
    assert candidate([]) == 0.0
    assert math.isclose(candidate([1.0, 3.0, 2.0]), area(3.0))
"""
WIDEST = Row(
    id="own/widest",
    question=HEAD,
    answer="    return max([area(radius) for radius in radii], default=0.0)\n",
    meta={"entry_point": "widest", "test": CHECK},
)
SUM = Row(
    id="own/sum",
    question="Write a function to add the squares of two numbers.",
    answer="def square(x):\r\n    return x * x\r\ndef sum(a, b):\r\n    return square(a) + square(b)",
    meta={"tests": ["assert sum(1, 2) == 5", "assert sum(0, -3) == 9"], "setup": ""},
)
TREE = Row(
    id="own/tree",
    question="Write a function to count the nodes of a tree.",
    answer="class Node:\n    def __init__(self): self.left = None\n"
    "def count(n):\n    return 1 + count(n.left) if n else 0",
    meta={
        "tests": ["assert count(root) == 2", "assert count(None) == 0"],
        "setup": "root = Node()\nroot.left = Node()",
    },
)


@pytest.fixture
def _sandbox() -> None:
    if (reason := why_unavailable()) is not None:
        pytest.skip(reason)


def test_a_function_is_asked_for_by_its_head() -> None:
    asked = humaneval(WIDEST, (), REPORT)
    assert isinstance(asked, Written)
    assert asked.prompt.text() == f"Question: Complete this Python function.\n```python\n{HEAD.rstrip()}"
    user, assistant = asked.prompt.messages()
    assert (user.role, user.content) == ("user", "Question: Complete this Python function.")
    assert (assistant.role, assistant.content) == ("assistant", f"```python\n{HEAD.rstrip()}")
    assert {"\ndef ", "\nclass ", "\n#", "\nif ", "\nprint", "\n```"} <= set(asked.stop)


def test_a_head_ends_where_a_token_may_begin(smollm2_file: PocketFile) -> None:
    """What a model reads of a prompt is what it would read of the whole function."""
    asked = humaneval(WIDEST, (), REPORT)
    assert isinstance(asked, Written)
    tokenizer = Tokenizer.from_json(smollm2_file.tokenizer_json)
    prompt = tokenizer.encode(asked.prompt.text())
    whole = tokenizer.encode(f"{asked.prompt.text()}\n{GOOD}")
    assert whole[: len(prompt)] == prompt


def test_a_task_is_asked_for_with_its_tests() -> None:
    asked = mbpp(SUM, (TREE,), REPORT)
    assert isinstance(asked, Written)
    assert asked.prompt.text() == (
        "Question: Write a function to count the nodes of a tree.\nWrite it in Python. These tests shall pass:\n"
        "assert count(root) == 2\nassert count(None) == 0\n```python\n"
        "class Node:\n    def __init__(self): self.left = None\ndef count(n):\n"
        "    return 1 + count(n.left) if n else 0\n```\n\n"
        "Question: Write a function to add the squares of two numbers.\nWrite it in Python. These tests shall pass:\n"
        "assert sum(1, 2) == 5\nassert sum(0, -3) == 9\n```python\n"
    )


Judge = Callable[[Row, Asked, Reply], Verdict]
GOOD = str(WIDEST.answer)
WHOLE = f"def widest(radii):\n{GOOD}"


@pytest.mark.usefixtures("_sandbox")
@pytest.mark.parametrize(
    ("row", "judge", "reply", "passes"),
    [
        (WIDEST, judge_humaneval, GOOD, True),
        (WIDEST, judge_humaneval, f"\n{GOOD}", True),
        (WIDEST, judge_humaneval, GOOD.rstrip() + "\n```\nThis is how.", True),
        (WIDEST, judge_humaneval, GOOD + "\nprint(widest([]))\nraise SystemExit", True),
        (WIDEST, judge_humaneval, GOOD + "\n\ndef broken(:", True),
        (WIDEST, judge_humaneval, f"Here it is:\n```python\n{WHOLE}```\nIt takes the largest.", True),
        (WIDEST, judge_humaneval, f"Here it is:\n```\nfrom typing import List\n{WHOLE}", True),
        (WIDEST, judge_humaneval, "    return None\n", False),
        (WIDEST, judge_humaneval, "    return 0.0\n", False),
        (WIDEST, judge_humaneval, "", False),
        (WIDEST, judge_humaneval, "I cannot write programs.", False),
        # What stands beside the tests is the benchmark's: an area that is always 0 does not fool them.
        (WIDEST, judge_humaneval, f"```python\ndef area(radius): return 0.0\n{WHOLE}```", False),
        (SUM, judge_mbpp, str(SUM.answer), True),
        (SUM, judge_mbpp, f"{SUM.answer}\n```\nand more", True),
        (SUM, judge_mbpp, f"Sure.\n```python\n{SUM.answer}\n```", True),
        (SUM, judge_mbpp, "def sum(a, b):\n    return a + b", False),
        (SUM, judge_mbpp, "", False),
        (TREE, judge_mbpp, str(TREE.answer), True),
        (TREE, judge_mbpp, str(TREE.answer).replace("1 +", "2 +"), False),
    ],
)
def test_a_reply_is_judged_by_running_it(row: Row, judge: Judge, reply: str, passes: bool) -> None:
    verdict = judge(row, humaneval(WIDEST, (), REPORT), reply)
    assert verdict.scores == {"pass@1": float(passes)}, verdict.answer
    assert verdict.answer.endswith("\n# passed") == passes


@pytest.mark.parametrize(
    ("row", "meta", "make"),
    [
        (WIDEST, {"test": CHECK}, humaneval_program),
        (WIDEST, {"test": CHECK, "entry_point": "f; import os"}, humaneval_program),
        (WIDEST, {"entry_point": "widest", "test": 5}, humaneval_program),
        (SUM, {}, mbpp_program),
        (SUM, {"tests": []}, mbpp_program),
        (SUM, {"tests": ["assert ("]}, mbpp_program),
        (SUM, {"tests": ["assert other(1)"]}, mbpp_program),
    ],
)
def test_a_row_that_lacks_something_is_named(
    row: Row, meta: dict[str, object], make: Callable[[Row, str], Program]
) -> None:
    with pytest.raises(UserError, match=f"row `{row.id}`"):
        make(replace(row, meta=meta), "")


def test_both_are_refused_without_a_sandbox() -> None:
    assert [(task.name, task.shots, task.runs_code) for task in CODE] == [
        ("phi3_humaneval", 0, True),
        ("phi3_mbpp", 3, True),
    ]


@pytest.mark.usefixtures("_sandbox")
@pytest.mark.parametrize(("name", "make"), [("humaneval", humaneval_program), ("mbpp", mbpp_program)])
def test_references_pass_and_planted_faults_fail(name: str, make: Callable[[Row, str], Program]) -> None:
    if "POCKETPHI_DATA" not in os.environ:
        pytest.skip("POCKETPHI_DATA names no folder of real benchmarks")
    rows = load_data(Path(os.environ["POCKETPHI_DATA"], "bench"), name).test
    right = [make(row, str(row.answer).replace("\r\n", "\n")) for row in rows]
    outcomes = run_many([*right, *(_nothing(program, row) for program, row in zip(right, rows, strict=True))])
    statuses = [outcome.status for outcome in outcomes]
    assert [row.id for row, status in zip(rows, statuses, strict=False) if status != "passed"] == []
    assert [row.id for row, status in zip(rows, statuses[len(rows) :], strict=True) if status == "passed"] == []
    off = [_off_by_one(program) for program in right]
    assert [row.id for row, outcome in zip(rows, run_many(off), strict=True) if outcome.status == "passed"] == []


def _nothing(program: Program, row: Row) -> Program:
    """Every function that the tests take returns None."""
    return replace(program, code=program.code + _replaced(program, "lambda *a, **k: None"))


def _off_by_one(program: Program) -> Program:
    """Every function that the tests take gives something near to what it should."""
    near = f"""
def _near(f):
    def near(*a, **k):
        x = f(*a, **k)
        if isinstance(x, bool): return not x
        if isinstance(x, int | float | complex): return x + 1
        if isinstance(x, str): return x + "x"
        if isinstance(x, list): return x + [0]
        if isinstance(x, tuple): return x + (0,)
        if isinstance(x, dict): return {{**x, "x": 0}}
        if isinstance(x, set): return x | {{"x"}}
        return 0 if x is None else None
    return near
{_replaced(program, "_near({name})")}"""
    return replace(program, code=program.code + near)


def _replaced(program: Program, by: str) -> str:
    line = next(line for line in program.test.splitlines() if line.startswith("from solution import "))
    names = line.removeprefix("from solution import ").split(", ")
    return "\n" + "\n".join(f"if not isinstance({name}, type): {name} = {by.format(name=name)}" for name in names)
