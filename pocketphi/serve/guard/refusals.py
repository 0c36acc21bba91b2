"""Saying no: one small answer in the form that OpenAI's clients read, and a line in the log."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from starlette.types import Scope, Send

from pocketphi.errors import shown

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that does not get in."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        kind = _TYPES.get(self.status, "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    async def send(self, scope: Scope, send: Send) -> None:
        """Answer, and close: what is left of the request is not read."""
        # Strangers choose the path, and nothing else of a request is worth a line: no header, for it may hold a key.
        log.info("refused %s %s: %s %s", shown(scope["method"], 20), shown(scope["path"]), self.status, self.code)
        body = self.body()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **self.headers,
        }
        start: dict[str, Any] = {"type": "http.response.start", "status": self.status}
        start["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send(start)
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
