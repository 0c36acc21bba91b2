"""The official Python client, by the line and by `async`."""

import sys
from pathlib import Path
from typing import Any

import pytest

from clients.checks import check
from clients.scripted import run

CLIENT = Path(__file__).with_name("by_openai.py")


@pytest.mark.parametrize("arguments", [(), ("async",)], ids=["sync", "async"])
def test_the_official_client_runs_the_session(
    arguments: tuple[str, ...], steps: list[dict[str, Any]], servers: dict[str, str]
) -> None:
    check(steps, run([sys.executable, str(CLIENT), *arguments], steps, servers), absent=set())
