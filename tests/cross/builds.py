"""Builds of the engine and its C++ test driver for other machines, by the CMake project that everybody uses.

The compiler for foreign targets is the `ziglang` wheel: clang with the C++ and C libraries of every target in
source form. It compiles those once per target (about a minute) and keeps them in `build/zig`, or where
ZIG_GLOBAL_CACHE_DIR says.
"""

import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILDS = ROOT / "build"
DRIVER = "pocketphi_test"
GOLDEN = ROOT / "tests" / "golden" / "engine_logits.txt"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A machine to build for. `system` and `processor` are CMake's names for it."""

    name: str
    triple: str
    system: str
    processor: str
    options: tuple[str, ...] = ()


ARM64_LINUX = Target(name="arm64", triple="aarch64-linux-musl", system="Linux", processor="aarch64")
ARM64_MACOS = Target(name="macos", triple="aarch64-macos", system="Darwin", processor="arm64")
WASM = Target(
    name="wasm",
    triple="wasm32-wasi",
    system="Generic",
    processor="wasm32",
    # One thread, which never ends before the program: nothing to destroy, and no exceptions in zig's C++ library.
    options=("-DPP_THREADS=OFF", "-DCMAKE_CXX_FLAGS=-fno-exceptions -fno-c++-static-destructors"),
)


def run(command: list[str | Path], timeout: float = 1200, **environment: str) -> str:
    """What a command prints; its output is the failure's message."""
    result = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, timeout=timeout
    )
    assert result.returncode == 0, (
        f"{command} exited {result.returncode}\n{result.stdout[-4000:]}{result.stderr[-8000:]}"
    )
    return result.stdout


def tool(name: str) -> str:
    """cmake and ninja stand beside the interpreter that runs the tests."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else name


def cmake_build(folder: Path, *options: str, target: str) -> Path:
    """Configure and build one target; gives the folder."""
    run([tool("cmake"), "-G", "Ninja", "-S", ROOT, "-B", folder, f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}", *options])
    run([tool("cmake"), "--build", folder, "--target", target])
    return folder


@functools.cache
def native_driver() -> Path:
    """The driver for this machine, as `make engine` would build it."""
    return cmake_build(BUILDS / "driver", "-DPP_BUILD_TESTS=ON", target=DRIVER) / DRIVER


@functools.cache
def foreign_build(target: Target, artifact: str = DRIVER) -> Path:
    """The folder of a build for another machine."""
    folder = BUILDS / f"zig-{target.name}"
    folder.mkdir(parents=True, exist_ok=True)
    cache = os.environ.get("ZIG_GLOBAL_CACHE_DIR") or str(BUILDS / "zig")
    tools = {}
    for word in ("c++", "ar", "ranlib"):
        goal = f"-target {target.triple} " if word == "c++" else ""
        script = folder / f"zig-{word}"
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ziglang {word} {goal}"$@"\n')
        script.chmod(0o755)
        tools[word] = script
    os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = cache
    return cmake_build(
        folder,
        f"-DCMAKE_SYSTEM_NAME={target.system}",
        f"-DCMAKE_SYSTEM_PROCESSOR={target.processor}",
        f"-DCMAKE_CXX_COMPILER={tools['c++']}",
        f"-DCMAKE_AR={tools['ar']}",
        f"-DCMAKE_RANLIB={tools['ranlib']}",
        "-DPP_BUILD_TESTS=ON",
        *target.options,
        target=artifact,
    )


def emulator(name: str) -> str | None:
    return shutil.which(f"{name}-static") or shutil.which(name)
