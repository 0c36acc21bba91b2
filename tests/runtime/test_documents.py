"""Every Python example in the documents runs as it stands, on the real model."""

import re
from pathlib import Path
from typing import Any

import pytest

from pocketphi.formats.pocket import PocketFile
from pocketphi.hub import load as loading

ROOT = Path(__file__).parents[2]


def examples(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_the_examples_run(
    document: str, smollm2_file: PocketFile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(loading, "resolve", lambda name: smollm2_file.path)
    names: dict[str, Any] = {}
    assert examples(document)
    for code in examples(document):
        exec(compile(code, document, "exec"), names)
        assert capsys.readouterr().out.strip()
