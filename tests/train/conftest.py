"""One thread, so that tests that run beside others keep their pace, and artifacts made once."""

from collections.abc import Iterator

import pytest
import torch

from pocketphi.artifact import Artifact
from pocketphi.train.pretrain import pretrain
from train.samples import MODEL, phase, write_all


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Primer, corpus, tokenizer and shards."""
    return write_all(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def base(made: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model after thirty steps."""
    out = tmp_path_factory.mktemp("base") / "phase1"
    return pretrain(phase(), MODEL, made["shards"], made["tokenizer"], out, seed=1)
