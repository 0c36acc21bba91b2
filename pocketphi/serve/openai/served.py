"""What is served: models by name, each with the scheduler that runs it."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pocketphi.runtime.abi import library_path
from pocketphi.runtime.grammar.compiler import GrammarCompiler
from pocketphi.runtime.model import Model
from pocketphi.runtime.scheduler.scheduler import Scheduler
from pocketphi.serve.openai.errors import ApiError

PAGE = Path(__file__).parents[1] / "page"
"""Where `make web` puts the page."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ServedModel:
    """One model that requests may name."""

    name: str
    model: Model
    scheduler: Scheduler
    created: int = field(default_factory=lambda: int(time.time()))
    """Unix time, as `/v1/models` tells it."""
    fingerprint: str = field(init=False)
    """The same for the same engine and model file, so that a seed means the same answer."""

    grammars: GrammarCompiler = field(init=False)

    def __post_init__(self) -> None:
        vocab_size = self.model.config.vocab_size
        object.__setattr__(self, "grammars", GrammarCompiler(self.model.tokenizer, vocab_size))
        object.__setattr__(self, "fingerprint", _fingerprint(self.model))


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What is the same for every request."""

    request_seconds: float = 600.0
    """A request may wait and run for so long."""
    keepalive_seconds: float = 10.0
    """A stream that has nothing to say for so long sends a comment."""
    page: Path = PAGE
    """The built page; need not exist."""


class ServedModels:
    """The models of a server, the first of which answers requests that name none."""

    def __init__(self, models: Sequence[ServedModel]) -> None:
        if not models or len({served.name for served in models}) != len(models):
            raise ValueError("serve one model or more, each under a name of its own")
        self._models = {served.name: served for served in models}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    def named(self, name: str | None) -> ServedModel:
        """The model that a request means.

        Raises:
            ApiError: 404, there is none of that name.
        """
        if name is None:
            return next(iter(self._models.values()))
        if name not in self._models:
            raise ApiError.model_not_found(name, list(self._models))
        return self._models[name]


def _fingerprint(model: Model) -> str:
    digest = hashlib.sha256(library_path().read_bytes())
    with model.file.path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        digest.update(file.read(size))  # the header names the SHA-256 of every tensor
    return f"fp_{digest.hexdigest()[:12]}"
