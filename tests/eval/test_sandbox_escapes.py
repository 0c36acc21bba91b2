"""No program gets out of the sandbox, and none is left behind."""

import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.sandbox_probes import CALLS, HARMFUL, SHOWN, source
from pocketphi.eval.sandbox.run import Limits, Outcome, Program, run_program, why_unavailable

CONTAINED = """
from solution import escape
try:
    came_through = bool(escape())
except Exception:
    came_through = False
assert not came_through
"""


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    if (reason := why_unavailable()) is not None:
        pytest.skip(reason)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """What a probe aims at: a secret, sockets, an open descriptor, this process, its environment."""
    monkeypatch.setenv("TOKEN", "secret")
    (tmp_path / "secret").write_text("a secret")
    abstract = f"\0pocketphi-{os.getpid()}"
    listening = [
        socket.create_server(("127.0.0.1", 0)),
        _listening(str(tmp_path / "s")),
        _listening(abstract),
    ]
    leaked = os.open(tmp_path / "secret", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    yield {
        "SECRET": str(tmp_path / "secret"),
        "OUTSIDE": str(tmp_path),
        "PARENT": os.getpid(),
        "PORT": listening[0].getsockname()[1],
        "SOCKET": str(tmp_path / "s"),
        "ABSTRACT": abstract,
        "PACKAGES": str(Path(pytest.__file__).parents[1]),
    }
    os.close(leaked)
    for each in listening:
        each.close()


@pytest.mark.parametrize("name", [*SHOWN, *HARMFUL])
def test_nothing_comes_through(name: str, world: dict[str, object], tmp_path: Path) -> None:
    before = (tmp_path / "secret").stat()
    outcome = contained({**SHOWN, **HARMFUL}[name], world)
    assert outcome.status == "passed", outcome
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "secret"]
    after = (tmp_path / "secret").stat()
    assert (tmp_path / "secret").read_text() == "a secret"
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, before.st_nlink)


def test_the_probes_come_through_without_a_sandbox(world: dict[str, object]) -> None:
    lines = [f"    ({name!r}, lambda: {expression})," for name, expression in SHOWN.items() if name != "device"]
    check = (
        "for name, do in PROBES:\n    try:\n        assert do(), 'nothing'\n    except Exception as e: print(name, e)"
    )
    code = source("0", **world) + "PROBES = [\n" + "\n".join(lines) + "\n]\n" + check
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=str(world["OUTSIDE"]))
    assert found.stdout.strip() == "", found.stderr


@pytest.mark.parametrize("name", CALLS)
def test_raw_system_calls_are_refused(name: str) -> None:
    number = CALLS[name][platform.machine() == "aarch64"]
    code = f"""
import ctypes, errno
def escape():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall({number}, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.EPERM
"""
    outcome = run_program(Program(code=code, test=CONTAINED))
    assert outcome.status == "passed", outcome


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86-64 machine")
@pytest.mark.parametrize("bytes_", ["b8 14 00 00 00 cd 80 c3", "b8 27 00 00 40 0f 05 c3"], ids=["32 bits", "x32"])
def test_calls_in_another_abi_kill(bytes_: str) -> None:
    code = f"""
import ctypes, mmap
def f():
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes.fromhex("{bytes_}"))
    return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
"""
    outcome = run_program(Program(code=code, test="from solution import f\nf()"))
    assert (outcome.status, outcome.reason) == ("killed", "SIGSYS")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("while True: pass", {"timed out"}),
        ("import time; time.sleep(100)", {"timed out"}),
        ("import signal; signal.signal(24, print)\n    while True: pass", {"timed out"}),
        ("bytearray(2 << 30)", {"out of memory"}),
        ("return [0] * (1 << 40)", {"out of memory"}),
        ("x = []\n    while True: x.append(bytes(1 << 20))", {"out of memory"}),
        ("return f()", {"error"}),
        ("import ctypes; ctypes.string_at(0)", {"killed"}),
        ("import os; os.abort()", {"killed"}),
        ("print('x' * (30 << 20), flush=True)", {"error"}),
        ("open('big', 'wb').write(bytes(8 << 20)); open('big', 'ab').write(b'x')", {"error"}),
        ("for i in range(10**6): open(str(i), 'wb').write(bytes(100_000))", {"error"}),
        ("for i in range(10**6): open(str(i), 'w').close()", {"error"}),
        ("return [open('/dev/null') for _ in range(10**5)]", {"error"}),
        ("l = []\n    for _ in range(10**5): l = [l]\n    return l", {"error"}),
    ],
)
def test_what_a_program_uses_has_limits(body: str, expected: set[str]) -> None:
    program = Program(code=f"def f():\n    {body}\n", test="from solution import f\nf()")
    outcome = run_program(program, limits=Limits(seconds=1.5, memory=256 << 20))
    assert outcome.status in expected, outcome
    assert outcome.seconds < 20
    assert len(outcome.output) <= 2000


def test_tests_have_limits_too() -> None:
    fast = Limits(seconds=1.0)
    assert run_program(Program(code="", test="while True: pass"), limits=fast).status == "timed out"
    assert run_program(Program(code="", test="bytearray(2 << 30)")).status == "out of memory"
    assert run_program(Program(code="", test="open('/etc/passwd')")).status == "error"


def test_nothing_is_left_behind() -> None:
    before = set(Path(tempfile.gettempdir()).glob("pocketphi-*"))
    code = "import atexit, os\nopen('left', 'w').write('x')\natexit.register(os.fork)\ndef f(): return os.getpid()"
    endless = "def f():\n    while True: pass"
    for program in (code, endless):
        run_program(Program(code=program, test="from solution import f\nf()"), limits=Limits(seconds=0.5))
    assert set(Path(tempfile.gettempdir()).glob("pocketphi-*")) <= before
    assert not [each for each in Path("/proc/self/task").glob("*/children") if b"sandbox" in _commands(each)]


def test_the_scratch_folder_is_writable_and_empty() -> None:
    code = """
import os, tempfile
def f():
    found = os.listdir()
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/x", "w") as file:
        file.write("text")
    os.mkdir("a"); open("a/b", "w").close(); os.rename("a/b", "c")
    return found, sorted(os.listdir()), open(os.devnull, "w").write("x"), dict(os.environ), os.umask(0)
"""
    outcome = run_program(Program(code=code, test="from solution import f\nassert f()[:4] == ([], ['a', 'c'], 1, {})"))
    assert outcome.status == "passed", outcome


def test_the_standard_library_can_be_imported() -> None:
    names = "array bisect collections copy ctypes dataclasses datetime decimal enum fractions functools hashlib heapq"
    names += " itertools json math operator queue random re sqlite3 statistics string struct typing unicodedata zlib"
    code = (
        "import importlib\ndef f(): return [importlib.import_module(name).__name__ for name in " + f"{names.split()}]"
    )
    outcome = run_program(Program(code=code, test=f"from solution import f\nassert f() == {names.split()}"))
    assert outcome.status == "passed", outcome


def contained(expression: str, world: dict[str, object]) -> Outcome:
    return run_program(Program(code=source(expression, **world), test=CONTAINED))


def _listening(address: str) -> socket.socket:
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    return server


def _commands(children: Path) -> bytes:
    return b" ".join(Path(f"/proc/{child}/cmdline").read_bytes() for child in children.read_text().split())
