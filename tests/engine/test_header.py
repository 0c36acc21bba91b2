"""The C header: plain C for every caller, and the library exports what it declares and nothing else."""

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

from pocketphi.runtime import native

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "engine" / "include" / "pocketphi.h"


def library_path() -> Path:
    found = sorted((Path(native.__file__).parents[1] / "_engine").glob("libpocketphi.*"))
    assert found, "the engine is not built: `make engine`"
    return found[0]


def declared_functions() -> set[str]:
    return set(re.findall(r"PP_API [\w\s*]*?\b(pp_\w+)\(", HEADER.read_text()))


@pytest.mark.parametrize(("compiler", "language", "standard"), [("gcc", "c", "c99"), ("g++", "c++", "c++20")])
def test_the_header_stands_alone(compiler: str, language: str, standard: str):
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([compiler, "-x", language, f"-std={standard}", *flags, HEADER], check=True)


def test_the_library_exports_what_the_header_declares():
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", library_path()], capture_output=True, text=True, check=True
    ).stdout
    exported = {line.split()[-1] for line in listing.splitlines()}
    assert exported == declared_functions()


def test_every_function_may_be_called_with_nothing():
    """Null and zero everywhere: a status or a neutral value, never a crash."""
    library = ctypes.CDLL(str(library_path()))
    for name in sorted(declared_functions()):
        function = getattr(library, name)
        function.restype = ctypes.c_uint64
        function(*[ctypes.c_void_p(None)] * 6)
