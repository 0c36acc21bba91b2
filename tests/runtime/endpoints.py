"""A tiny model behind a server of this machine, and the endpoint backend that talks to it."""

from typing import Any

from pocketphi.config import Settings, settings
from pocketphi.runtime.endpoint_backend import EndpointBackend
from pocketphi.runtime.endpoint_http import Patience
from runtime.openai_server import OpenAI

QUICK = Patience(timeout_seconds=30, attempts=3, backoff_seconds=0.01, max_retry_after_seconds=2)
SECRET = "sk-abc123-do-not-show"


def here(**variables: str) -> Settings:
    return settings({"HOME": "/nowhere", **variables})


def connect(server: OpenAI, patience: Patience = QUICK, **arguments: Any) -> EndpointBackend:
    return EndpointBackend(server.address, here(POCKETPHI_API_KEY=SECRET), patience=patience, **arguments)
