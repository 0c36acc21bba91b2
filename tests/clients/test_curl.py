"""curl, which every guide shows."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from clients.checks import check
from clients.scripted import run


def test_curl_runs_the_session(steps: list[dict[str, Any]], servers: dict[str, str]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    absent = {step["name"] for step in steps if "parse" in step["call"] or "helper" in step["call"]}
    check(steps, run([sys.executable, str(Path(__file__).with_name("by_curl.py"))], steps, servers), absent)
