"""What the compiled engine holds: wide instructions only in the files for them, and no stray symbols.

A common file that holds one AVX instruction crashes on a machine without AVX. It can get there in two ways: by
a compiler flag, or by an inline function that two files share and the linker keeps from the file with the flags.
"""

import json
import platform
import re
import shutil
from pathlib import Path

import pytest

from cross.builds import BUILDS, cmake_build, run

SETS = ("_avx2", "_avx512", "_amx")

pytestmark = [
    pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="needs an x86-64 machine"),
    pytest.mark.skipif(shutil.which("objdump") is None, reason="needs objdump of the GNU binutils"),
]


@pytest.fixture(scope="module")
def objects() -> list[Path]:
    """Object files of a plain build."""
    folder = cmake_build(BUILDS / "driver", "-DPP_BUILD_TESTS=ON", target="pocketphi_objects")
    outputs = (folder / entry["output"] for entry in json.loads((folder / "compile_commands.json").read_text()))
    found = [path for path in outputs if "pocketphi_objects" in str(path)]
    assert len(found) > 10
    return found


@pytest.fixture(scope="module")
def library() -> Path:
    return cmake_build(BUILDS / "driver", target="pocketphi") / "libpocketphi.so"


def is_wide(path: Path) -> bool:
    return path.name.split(".")[0].endswith(SETS)


def test_common_files_hold_no_wide_instructions(objects: list[Path]):
    for path in objects:
        registers = set(re.findall(r"%([yz]mm|tmm|k)\d+\b", run(["objdump", "-d", "--no-show-raw-insn", path])))
        if not is_wide(path):
            assert not registers, f"{path.name} uses {registers}"
        elif path.name.startswith("matmul"):
            assert registers, f"{path.name} uses no wide registers: its flags are lost"


def test_wide_files_share_no_function_with_others(objects: list[Path]):
    weak: dict[str, set[str]] = {}
    for path in objects:
        for line in run(["nm", "--defined-only", path]).splitlines():
            kind, symbol = line.split()[-2:]
            if kind in "WVu":
                weak.setdefault(symbol, set()).add(path.name)
    shared = {
        symbol: names
        for symbol, names in weak.items()
        if len(names) > 1 and len({next((s for s in SETS if s in name), "") for name in names}) > 1
    }
    assert not shared, "make these static, force-inline them, or put them in a namespace of the instruction set"


def test_the_library_shows_its_header_and_nothing_else(library: Path):
    shown = {line.split()[-1] for line in run(["nm", "-D", "--defined-only", library]).splitlines()}
    header = (library.parents[2] / "engine" / "include" / "pocketphi.h").read_text()
    assert shown == set(re.findall(r"^PP_API .*?\b(pp_\w+)\(", header, re.MULTILINE))


def test_the_library_needs_only_the_c_library(library: Path):
    needed = set(re.findall(r"NEEDED\s+(\S+)", run(["objdump", "-p", library])))
    assert needed <= {"libc.so.6", "libm.so.6", "libpthread.so.0", "ld-linux-x86-64.so.2"}
