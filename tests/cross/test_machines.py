"""The same logits, bit for bit, on every machine: the hashes of `tests/golden/engine_logits.txt`.

x86-64 without AVX is emulated, so an instruction that leaks out of its file is a crash here. arm64 and WebAssembly
are compiled by zig from the same CMake project and run under qemu and Node; macOS on arm64 is compiled and linked.
"""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from cross.builds import (
    ARM64_LINUX,
    ARM64_MACOS,
    DRIVER,
    GOLDEN,
    WASM,
    cmake_build,
    emulator,
    foreign_build,
    native_driver,
    run,
)

RUN_WASM = Path(__file__).with_name("run_wasm.mjs")

needs_x86 = pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="needs an x86-64 machine")


def qemu(machine: str) -> str:
    found = emulator(f"qemu-{machine}")
    if found is None:
        pytest.skip(f"needs qemu-{machine} (Debian: qemu-user-static)")
    return found


def node() -> str:
    """Node 20 or newer: older ones have no stable WASI."""
    found = shutil.which("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True).stdout if found else "v0"
    if found is None or int(version.removeprefix("v").split(".")[0]) < 20:
        pytest.skip("needs Node 20 or newer")
    return found


def test_this_machine():
    assert run([native_driver(), "golden"]) == GOLDEN.read_text()


def test_every_property_holds_on_this_machine():
    assert "same bits: ok" in run([native_driver()])


@needs_x86
@pytest.mark.parametrize("cpu", ["Haswell", "Nehalem"], ids=["no-avx512", "no-avx2"])
def test_x86_without_wide_registers(cpu: str):
    assert run([qemu("x86_64"), "-cpu", cpu, native_driver(), "golden"]) == GOLDEN.read_text()


@pytest.mark.slow
def test_arm64():
    driver = foreign_build(ARM64_LINUX) / DRIVER
    command = [driver] if platform.machine() in {"aarch64", "arm64"} else [qemu("aarch64"), driver]
    assert run([*command, "golden"]) == GOLDEN.read_text()


@pytest.mark.slow
def test_every_property_holds_on_arm64():
    driver = foreign_build(ARM64_LINUX) / DRIVER
    command = [driver] if platform.machine() in {"aarch64", "arm64"} else [qemu("aarch64"), driver]
    assert "same bits: ok" in run(command)


@pytest.mark.slow
def test_webassembly():
    program = foreign_build(WASM) / DRIVER
    assert run([node(), "--no-warnings", RUN_WASM, program, "golden"]) == GOLDEN.read_text()


@pytest.mark.slow
def test_macos_on_arm64_links():
    folder = foreign_build(ARM64_MACOS, "pocketphi")
    cmake_build(folder, target=DRIVER)
    assert (folder / "libpocketphi.dylib").read_bytes()[:8] == bytes.fromhex("cffaedfe0c000001")  # 64-bit Mach-O, arm64
