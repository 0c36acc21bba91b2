"""Tiny models for every test that runs one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime.model import Model
from tiny import write_tiny


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> PocketFile:
    """A model with 4-bit weights, written once."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.pocket")


@pytest.fixture
def tiny_model(tiny_file: PocketFile) -> Iterator[Model]:
    """The 4-bit model, loaded with two threads."""
    with Model(tiny_file, threads=2) as model:
        yield model


@pytest.fixture
def open_tiny(tmp_path: Path) -> Iterator[Callable[..., Model]]:
    """Write and load a tiny model: takes what `write_tiny` takes, and `load=dict(...)` for `Model`."""
    with ExitStack() as stack:

        def make(*arguments: Any, load: dict[str, Any] | None = None, **options: Any) -> Model:
            path = tmp_path / f"tiny{len(list(tmp_path.iterdir()))}.pocket"
            file = write_tiny(path, *arguments, **options)
            return stack.enter_context(Model(file, **{"threads": 2, **(load or {})}))

        yield make
