"""Benchmarks whose answer is a program: HumanEval (Chen et al. 2021) and MBPP (Austin et al. 2021).

A prompt ends inside a fenced block, which the model goes on with and closes; so the same prompt and the same stops do
for models that go on with a text and for those that answer in turns. `pass@1` at temperature 0: the one program that
was written passes its tests in the sandbox (`eval.sandbox`).

Tests run apart from what they test, and take from it by name: HumanEval the function to complete, all else of a
prompt stands beside the tests as the benchmark has it; MBPP the functions and classes that the reference defines and
the tests name.
"""

import ast
import re
import warnings
from collections.abc import Sequence

from pocketphi.errors import shown
from pocketphi.eval.sandbox.inside import MODULE
from pocketphi.eval.sandbox.run import Program, run_program
from pocketphi.eval.tasks.prompt import Format, Prompt, Turn
from pocketphi.eval.tasks.rows import Row, bad_row
from pocketphi.eval.tasks.task import Asked, BenchTask, Reply, Verdict, Written

METRIC = "pass@1"
_OPENING, _CLOSING = "```python\n", "\n```"
_FENCE = re.compile(r"^```[ \t]*(\w*)[^\n]*(?:\n|\Z)", re.MULTILINE)
_AFTER_A_FUNCTION = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint", "\nassert ", "\n@", _CLOSING)
_MAX_TOKENS = 512


def humaneval(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """The head of a function, to be completed.

    It ends without its line break: byte-level vocabularies join that with the indent behind it, so a model that is
    given it by itself writes no body. SmolLM2 closed the block at once in 40 of 40 heads.
    """
    del shots  # The head of another function says nothing about this one.
    prompt = Prompt(
        question=f"{form.question}Complete this Python function.",
        cue=_OPENING + row.question.rstrip(),
        line=form.line,
        example=form.example,
    )
    return Written(prompt=prompt, max_tokens=_MAX_TOKENS, stop=_AFTER_A_FUNCTION)


def mbpp(row: Row, shots: Sequence[Row], form: Format) -> Asked:
    """What a function shall do, and its tests, which show its name."""
    prompt = Prompt(
        question=_with_tests(row, form),
        shots=tuple(Turn(question=_with_tests(shot, form), answer=_answer(shot) + _CLOSING) for shot in shots),
        cue=_OPENING,
        line=form.line,
        example=form.example,
    )
    return Written(prompt=prompt, max_tokens=_MAX_TOKENS, stop=(_CLOSING,))


def humaneval_program(row: Row, reply: str) -> Program:
    """The function's head with what the model made of it, and the benchmark's `check`.

    Raises:
        UserError: the row lacks something.
    """
    entry, test = _meta(row, "entry_point"), _meta(row, "test")
    if not entry.isidentifier():
        raise bad_row(row, f"`entry_point` is `{shown(entry)}`")
    block = _block(reply, row.question)
    whole = block is not None and re.search(rf"^(?:async )?def {entry}\b", block, re.MULTILINE)
    # A whole function takes the place of the head's, and keeps its imports.
    body = f"\n{block}" if whole else _until(reply, _AFTER_A_FUNCTION)
    taken = f"from {MODULE} import {entry}"
    return Program(code=f"{row.question}{body}\n", test=f"{row.question}\n{taken}\n{test}\ncheck({entry})\n")


def mbpp_program(row: Row, reply: str) -> Program:
    """What the model wrote, and the row's assertions.

    Raises:
        UserError: the row lacks something.
    """
    setup = _unix(_meta(row, "setup")) if "setup" in row.meta else ""
    tests = "\n".join(_tests(row))
    reference, of_setup, of_tests = _parsed(_answer(row)), _parsed(setup), _parsed(tests)
    if reference is None or of_setup is None or of_tests is None:
        raise bad_row(row, "its reference or its tests are no Python")
    defined = {name for node in reference.body for name in _defines(node)}
    taken = sorted(defined & (_names(of_setup) | _names(of_tests)))
    if not taken:
        raise bad_row(row, "its tests name nothing that its reference defines")
    block = _block(reply)
    code = _until(reply, (_CLOSING,)) if block is None else block
    # Imports are for the code too; a set-up that uses the code can only follow it.
    before = "" if _names(of_setup) & defined else f"{setup}\n"
    return Program(code=f"{before}{code}\n", test=f"from {MODULE} import {', '.join(taken)}\n{setup}\n{tests}\n")


def judge_humaneval(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`pass@1`."""
    del asked
    return _judged(row, humaneval_program(row, _unix(str(reply))))


def judge_mbpp(row: Row, asked: Asked, reply: Reply) -> Verdict:
    """`pass@1`."""
    del asked
    return _judged(row, mbpp_program(row, _unix(str(reply))))


def _check_humaneval(row: Row) -> None:
    humaneval_program(row, "")
    _answer(row)


def _check_mbpp(row: Row) -> None:
    mbpp_program(row, "")


def _judged(row: Row, program: Program) -> Verdict:
    outcome = run_program(program)
    return Verdict(
        scores={METRIC: float(outcome.status == "passed")},
        # Not the reason: it may hold an address, and results are the same in every run.
        answer=f"{program.code.rstrip()}\n# {outcome.status}",
        expected=_answer(row),
    )


def _block(reply: str, head: str = "") -> str | None:
    """The first fenced block that a reply opens itself; None if it goes on with the one it was given.

    Args:
        head: what the reply would go on with.
    """
    fence = _FENCE.search(reply)
    if fence is None or (not fence[1] and _parsed(head + reply[: fence.start()]) and reply[: fence.start()].strip()):
        return None
    end = _FENCE.search(reply, fence.end())
    return reply[fence.end() : end.start() if end else None]


def _parsed(source: str) -> ast.Module | None:
    """None if it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # An odd escape is the author's affair.
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _until(text: str, stops: Sequence[str]) -> str:
    """What stands before the first stop: endpoints may ignore them."""
    # A stop at the very beginning too: it starts a line.
    ends = [end for stop in stops if (end := f"\n{text}".find(stop)) >= 0]
    return text[: max(0, min(ends) - 1)] if ends else text


def _with_tests(row: Row, form: Format) -> str:
    asked = f"{form.question}{row.question}"
    return form.line.join([asked, "Write it in Python. These tests shall pass:", *_tests(row)])


def _tests(row: Row) -> list[str]:
    tests = row.meta.get("tests")
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        raise bad_row(row, "`meta.tests` is no list of assertions")
    return [_unix(test) for test in tests]


def _meta(row: Row, key: str) -> str:
    value = row.meta.get(key)
    if not isinstance(value, str):
        raise bad_row(row, f"`meta.{key}` is no text")
    return value


def _answer(row: Row) -> str:
    if not isinstance(row.answer, str):
        raise bad_row(row, "`answer` is no program")
    return _unix(row.answer)


def _names(tree: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


CODE: tuple[BenchTask, ...] = (
    BenchTask(
        name="phi3_humaneval",
        title="HumanEval",
        version=2,
        file="humaneval",
        metric=METRIC,
        shots=0,
        ask=humaneval,
        judge=judge_humaneval,
        check=_check_humaneval,
        runs_code=True,
        chance=0.0,
    ),
    BenchTask(
        name="phi3_mbpp",
        title="MBPP",
        version=1,
        file="mbpp",
        metric=METRIC,
        shots=3,
        ask=mbpp,
        judge=judge_mbpp,
        check=_check_mbpp,
        runs_code=True,
        chance=0.0,
    ),
)
"""The two of the report's table that run what was written."""
