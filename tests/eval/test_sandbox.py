"""What a program's outcome says, and that no program can say it itself."""

import itertools

import pytest

from pocketphi.errors import UserError
from pocketphi.eval.sandbox import run
from pocketphi.eval.sandbox.run import Limits, Program, run_many, run_program, why_unavailable
from pocketphi.eval.sandbox.wire import pack, unpack

DOUBLE = "from solution import f\nassert f(1) == 2\nassert f(2) == 4\nassert f(-3) == -6\n"


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    if (reason := why_unavailable()) is not None:
        pytest.skip(reason)


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ("def f(x): return 2 * x", "passed", ""),
        ("def f(x): return x + 1", "failed", "assert f(2) == 4"),
        ("def f(x): return None", "failed", "assert f(1) == 2"),
        ("def f(x): raise KeyError(x)", "error", "KeyError"),
        ("def f(x): return undefined", "error", "NameError"),
        ("def g(x): return 2 * x", "error", "ImportError"),
        ("def f(x) return 2", "error", "SyntaxError"),
        ("assert False, 'my own'", "error", "my own"),
        ("class E(Exception): pass\ndef f(x): raise E('mine')", "error", "E: mine"),
        ("if __name__ == '__main__': raise SystemExit\ndef f(x): return 2 * x", "passed", ""),
        ("print('hello')\ndef f(x):\n    print(x)\n    return 2 * x", "passed", ""),
    ],
)
def test_an_outcome_says_what_happened(code: str, status: str, reason: str) -> None:
    outcome = run_program(Program(code=code, test=DOUBLE))
    assert outcome.status == status, outcome
    assert reason in outcome.reason
    if "hello" in code:
        assert outcome.output == "hello\n1\n2\n-3\n"


_ANSWER_ALL = "\ndef f(x): return 0\n"
_ALWAYS = "    def __eq__(self, other): return True\n    __hash__ = None\n"
FORGERIES = {
    "exit while defining": "import os\nos._exit(0)",
    "exit when called": "import os\ndef f(x): os._exit(0)",
    "SystemExit while defining": "raise SystemExit(0)",
    "SystemExit when called": "def f(x): raise SystemExit(0)",
    "at exit": "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x): raise SystemExit(0)",
    "printing": 'print(\'passed\')\nprint(\'["", "passed", ""]\', flush=True)' + _ANSWER_ALL,
    "standard output replaced": "import sys, io\nsys.stdout = sys.stderr = io.StringIO()" + _ANSWER_ALL,
    "a verdict in every descriptor": (
        'import os\nfor fd in range(64):\n    try: os.write(fd, b\'["", "passed", ""]\\n\')\n    except OSError: pass'
        + _ANSWER_ALL
    ),
    "answers ahead of questions": (
        'import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"value": null, "changed": []}\\n\' * 9)\n'
        "    except OSError: pass" + _ANSWER_ALL
    ),
    "closed descriptors": "import os\nos.closerange(0, 64)" + _ANSWER_ALL,
    "equal to everything": f"class A:\n{_ALWAYS}def f(x): return A()",
    "a number equal to everything": f"class A(int):\n{_ALWAYS}def f(x): return A()",
    "a float equal to everything": f"class A(float):\n{_ALWAYS}def f(x): return A()",
    "a text equal to everything": f"class A(str):\n{_ALWAYS}def f(x): return A()",
    "a list equal to everything": f"class A(list):\n{_ALWAYS}def f(x): return A()",
    "a tuple equal to everything": f"class A(tuple):\n{_ALWAYS}def f(x): return A()",
    "a type equal to everything": f"class M(type):\n{_ALWAYS}class A(metaclass=M): pass\ndef f(x): return A",
    "a function equal to everything": f"class A:\n{_ALWAYS}    def __call__(self, x): return self\nf = A()",
    "not a number": "def f(x): return float('nan')",
    "assert patched": "import builtins\nbuiltins.AssertionError = ZeroDivisionError" + _ANSWER_ALL,
    "equality patched": "import builtins, operator\noperator.eq = builtins.any = lambda *a: True" + _ANSWER_ALL,
    "no debugging": "import builtins\nbuiltins.__dict__['__debug__'] = False" + _ANSWER_ALL,
    "tracing": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)" + _ANSWER_ALL,
    "the other module": (
        "import sys\nimport pocketphi.eval.sandbox.inside as i\ni._judge = lambda *a: ('passed', '')\n"
        "i.Remote.__eq__ = lambda *a: True" + _ANSWER_ALL
    ),
    "packing patched": (
        "import pocketphi.eval.sandbox.inside as i\ni.pack = lambda *a: {'number': ['os', 'x']}" + _ANSWER_ALL
    ),
    "unknown kinds": "import pocketphi.eval.sandbox.inside as i\ni.pack = lambda *a: {'x': 1}" + _ANSWER_ALL,
    "itself": "import pocketphi.eval.sandbox.inside as i\ni.pack = lambda *a: {'object': 0}" + _ANSWER_ALL,
    "deep": "import json\njson.dumps = lambda *a: '[' * 10**6 + ']' * 10**6" + _ANSWER_ALL,
    "no objects": "import json\njson.dumps = lambda *a: '[1]'" + _ANSWER_ALL,
    "a false start": 'import json\njson.dumps = lambda *a: \'{"unbuilt": "x", "raised": 1}\'' + _ANSWER_ALL,
    "changed arguments": ('import json\njson.dumps = lambda *a: \'{"value": 0, "changed": [[0, [1]]]}\'' + _ANSWER_ALL),
    "itself as main": "import __main__, sys\n__main__.f = sys.modules['solution'] = lambda x: 2 * x" + _ANSWER_ALL,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_wrong_program_cannot_pass(name: str) -> None:
    outcome = run_program(Program(code=FORGERIES[name], test=DOUBLE), limits=Limits(seconds=5.0))
    assert outcome.status in ("failed", "error"), outcome


@pytest.mark.parametrize(
    "test",
    [
        "import sys; from solution import f\nsys.exit(0)",
        "import os; from solution import f\nos._exit(0)",
        "from solution import f\nraise SystemExit",
        "print('passed')\nassert False",
        # A test that takes every exception for an answer does not take the end of the other process for one.
        "from solution import f\ntry:\n    f(1)\nexcept:\n    pass",
    ],
)
def test_tests_that_do_not_come_to_their_end_do_not_pass(test: str) -> None:
    outcome = run_program(Program(code="import os\ndef f(x): os._exit(0)", test=test))
    assert outcome.status in ("failed", "error"), outcome


def test_nothing_of_the_tests_can_be_found_by_the_code() -> None:
    """Frames, all objects, modules, arguments and memory hold neither the tests nor the number of the run."""
    code = """
import gc, re, sys
def f(word, pieces):
    found, todo = [], [sys._getframe(), sys.argv, sys.orig_argv, sys.modules, *gc.get_objects()]
    frame = sys._getframe()
    while frame:
        todo += [frame.f_globals, frame.f_locals]
        frame = frame.f_back
    needle = word + "".join(pieces)
    for each in todo:
        if isinstance(each, dict):
            each = list(each.values())
        for text in each if isinstance(each, list | tuple) else [each]:
            if isinstance(text, str | bytes) and text is not needle:
                text = text if isinstance(text, str) else text.decode("latin-1")
                if needle in text or re.search(r"\\b[0-9a-f]{32}\\b", text):
                    found.append(text[:100])
    return found
"""
    test = "from solution import f\nmarker = 'only' + 'here'\nassert f('only', ['he', 're']) == []\n# onlyhere"
    outcome = run_program(Program(code=code, test=test))
    assert outcome.status == "passed", outcome


def test_calls_cross_as_python_means_them() -> None:
    code = """
from collections import Counter, namedtuple, defaultdict, deque, OrderedDict
from decimal import Decimal
from fractions import Fraction
Point = namedtuple("Point", "x y")
N = 7
class Node:
    def __init__(self, value, left=None): self.value, self.left = value, left
    def __len__(self): return 3
    def __getitem__(self, key): return key * 2
    def __contains__(self, value): return value == self.value
def depth(node): return 0 if node is None else 1 + depth(node.left)
def same(x): return x
def sort(x, *, reverse=False): x.sort(reverse=reverse)
def many(): yield from range(3)
def endless():
    i = 0
    while True: yield i; i += 1
def kinds(): return Counter("aab"), Point(1, 2), defaultdict(list, a=[1]), deque([1]), OrderedDict(b=2)
def numbers(): return Decimal("1.50"), Fraction(1, 3), 2j, range(3), 10**5000, float("inf"), True, b"x", bytearray(b"y")
def wrong(kind): raise kind()
def missing(): return {}["x"]
def stop(): next(iter([]))
def text(x): return f"{x}\\ud800\\n\\0"
"""
    test = """
from decimal import Decimal
from fractions import Fraction
from itertools import islice
import solution
from solution import *
from solution import Node, depth, same, sort, many, endless, kinds, numbers, missing, stop, text
value = {1: [(), {2}, frozenset({3})], "a": None, (1, 2): {"b": -0.5}}
assert same(value) == value and type(same(value)[1][0]) is tuple and type(same(True)) is bool
assert solution.N == 7
x = [3, 1, 2]
assert sort(x) is None and x == [1, 2, 3]
sort(x, reverse=True)
assert x == [3, 2, 1]
assert list(many()) == [0, 1, 2] and many() != [0, 1, 2]
assert list(islice(endless(), 3)) == [0, 1, 2]
assert kinds() == ({"a": 2, "b": 1}, (1, 2), {"a": [1]}, __import__("collections").deque([1]), {"b": 2})
assert numbers() == (Decimal("1.5"), Fraction(1, 3), 2j, range(3), 10**5000, float("inf"), True, b"x", b"y")
root = Node(1)
root.left = Node(2)
root.left.left = Node(3)
assert depth(root) == 3 and root.left.value == 2 and len(root) == 3 and root[4] == 8 and 1 in root and 5 not in root
assert root and same(root) is root and same.__name__ == "same"
deep = lambda: depth(5)
for call, kind in ((missing, KeyError), (stop, StopIteration), (lambda: same(), TypeError), (deep, AttributeError)):
    try:
        call()
    except kind:
        continue
    assert False, kind
assert text("ä") == "ä\\ud800\\n\\0"
try:
    same(lambda: 1)
except TypeError:
    pass
else:
    assert False
""".replace("from solution import *\n", "")
    outcome = run_program(Program(code=code, test=test))
    assert outcome.status == "passed", outcome


def test_sets_have_one_order_in_every_run() -> None:
    code = "def f(): return ' '.join({'a', 'b', 'c', 'd', 'e', 'f'})"
    outcomes = run_many([Program(code=code, test="from solution import f\nassert not f(), f()")] * 4, workers=2)
    assert len({outcome.reason for outcome in outcomes}) == 1


def test_many_programs_keep_their_order() -> None:
    programs = [Program(code=f"def f(): return {i}", test="from solution import f\nassert f() % 3") for i in range(9)]
    assert [outcome.status for outcome in run_many(programs, workers=3)] == ["failed", "passed", "passed"] * 3


def test_a_run_costs_little() -> None:
    empty = Program(code="def f(x): return 2 * x", test=DOUBLE)
    seconds = sorted(outcome.seconds for outcome in itertools.islice(run_many([empty] * 15, workers=1), 15))
    # 28 ms were measured on two cores of which others took their share; this only finds a lapse.
    assert seconds[3] < 0.25


@pytest.mark.parametrize("name", ["seconds", "memory", "file_bytes", "scratch_bytes", "scratch_files"])
def test_a_limit_is_more_than_nothing(name: str) -> None:
    with pytest.raises(UserError, match=f"`{name}`"):
        Limits(**{name: 0})


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "why_unavailable", lambda: "needs a kernel with Landlock")
    program = Program(code="", test="")
    with pytest.raises(UserError, match="needs a kernel with Landlock"):
        run_program(program)
    with pytest.raises(UserError, match="needs a kernel with Landlock"):
        list(run_many([program]))


def test_a_machine_that_lacks_a_part_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_trees", lambda: ((), ("/no/such/folder",)))
    run._tried.cache_clear()
    assert why_unavailable() == "needs a kernel with mounts of its own: no such file or directory"
    monkeypatch.undo()
    run._tried.cache_clear()
    assert why_unavailable() is None


@pytest.mark.parametrize(
    "value", [{"tuple": 5}, {}, {"a": 1, "b": 2}, {"range": [1, 2, 0]}, {"number": ["os", "x"]}, {"bytes": "g"}]
)
def test_what_pack_never_writes_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, StopIteration)):
        unpack(value, lambda number: number)


def test_packing_keeps_plain_values() -> None:
    value = [{"a": (1, 2.5, None, "x")}, {1, 2}, frozenset(), b"\0", 1j, range(1, 9, 2)]
    assert unpack(pack(value, id), lambda number: number) == value
