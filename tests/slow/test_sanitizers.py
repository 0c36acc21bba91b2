"""The engine's whole test driver under the address, undefined-behaviour and thread sanitizers."""

import os
import platform
import shutil
from pathlib import Path

import pytest

from cross.builds import BUILDS, DRIVER, GOLDEN, cmake_build, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.system() != "Linux", reason="the sanitizers run on Linux"),
]

# The thread sanitizer maps fixed addresses, which address randomization may have taken.
FIXED_ADDRESSES = ["setarch", platform.machine(), "-R"]


@pytest.fixture(scope="module", params=["address", "thread"])
def driver(request: pytest.FixtureRequest) -> list[str | Path]:
    folder = BUILDS / f"sanitize-{request.param}"
    cmake_build(folder, "-DPP_BUILD_TESTS=ON", f"-DPP_SANITIZE={request.param}", target=DRIVER)
    if request.param == "thread":
        assert shutil.which("setarch"), "setarch (util-linux) is missing"
        return [*FIXED_ADDRESSES, folder / DRIVER]
    return [folder / DRIVER]


def test_every_property_holds_and_nothing_is_reported(driver: list[str | Path]):
    environment = {"ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=1", **os.environ}
    assert "same bits: ok" in run(driver, timeout=1500, **environment)


def test_the_bits_are_those_of_a_plain_build(driver: list[str | Path]):
    assert run([*driver, "golden"]) == GOLDEN.read_text()
