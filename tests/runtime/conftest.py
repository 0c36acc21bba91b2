"""A tiny model, and a server of this machine that answers with it."""

from collections.abc import Iterator

import pytest

from pocketphi.formats.pocket import PocketFile
from pocketphi.runtime.model import Model
from runtime.openai_server import OpenAI, openai_server


@pytest.fixture(scope="module")
def model(tiny_file: PocketFile) -> Iterator[Model]:
    with Model(tiny_file, threads=1) as model:
        yield model


@pytest.fixture
def server(model: Model) -> Iterator[OpenAI]:
    with openai_server(OpenAI(model)) as server:
        yield server
