"""Models that many examples share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler.scheduler import Scheduler
from tiny import longrope_config, tiny_config, write_tiny


@pytest.fixture(scope="module")
def longrope_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A model whose border answers cross."""
    file = write_tiny(tmp_path_factory.mktemp("longrope") / "tiny.pocket", longrope_config(border=64, stretch=4))
    with Model(file, threads=1) as model:
        yield model


@pytest.fixture
def slow_reader(tmp_path: Path) -> Iterator[Scheduler]:
    """A model that reads a prompt of 500 tokens for some seconds, on the slowest kernels."""
    config = tiny_config(hidden_size=192, intermediate_size=384, num_hidden_layers=64)
    with (
        Model(write_tiny(tmp_path / "slow.pocket", config), threads=1, isa="scalar") as model,
        Scheduler(model) as scheduler,
    ):
        yield scheduler
