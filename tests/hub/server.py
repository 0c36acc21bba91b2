"""A Hugging Face hub of one's own, on this machine, that can misbehave on demand.

`FakeHub` answers the two requests that a download needs: the list of a repository's files, and the content of one.
Large files are redirected to a second server on another port, as the real hub redirects to its content network. The
`huggingface_hub` package downloads from it too (`test_huggingface_client.py`), which is how we know that it plays its
part well.

A `Fault` bends the next answer: it is queued for a file's name, and used up by one request.
"""

import hashlib
import json
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE = 2048
"""Files from this size on are "LFS" files: SHA-256 in the listing, redirected to the content server."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to answer badly. Fields combine."""

    status: int | None = None
    """Answer with this status and no content."""
    headers: dict[str, str] = field(default_factory=dict)
    """More headers, or others."""
    cut_after: int | None = None
    """Reset the connection after this many bytes of content."""
    stall_after: int | None = None
    """Fall silent after this many bytes, for `seconds`, then close."""
    drip: bool = False
    """One byte at a time, one every `seconds`."""
    seconds: float = 0.0
    body: bytes | None = None
    """Send this content instead."""
    announce: int = 0
    """Added to the Content-Length that is announced."""
    ignore_range: bool = False
    shift_range: int = 0
    """Answer a range request with a range that starts this much later."""


@dataclass
class Repo:
    """A repository: its files, and whom it is shown to."""

    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False
    private_to: str | None = None
    tells_digests: bool = True

    @property
    def commit(self) -> str:
        state = hashlib.sha1()
        for name in sorted(self.files):
            state.update(name.encode() + b"\0" + hashlib.sha1(self.files[name]).digest())
        return state.hexdigest()


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    server: str
    method: str
    path: str
    headers: dict[str, str]


class FakeHub:
    """The two servers, their content, and what they were asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.requests: list[Seen] = []
        self.redirects_large = True
        self._hub = self._serve("hub", self._answer_hub)
        self._content = self._serve("content", self._answer_content)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def content_endpoint(self) -> str:
        return f"http://localhost:{self._content.server_port}"

    def add(self, repo: str, files: dict[str, bytes]) -> Repo:
        self.repos[repo] = Repo(dict(files))
        return self.repos[repo]

    def fault(self, file: str, *faults: Fault) -> None:
        """Queue `faults` for the next requests of the content of `file` (or `"listing"`, or `"redirect"`)."""
        self.faults[file].extend(faults)

    def asked_for(self, file: str, method: str = "GET") -> list[Seen]:
        """The requests for the content of `file` that reached a server which could answer them."""
        return [
            seen
            for seen in self.requests
            if (seen.server, seen.method) == ("content", method)
            and unquote(urlsplit(seen.path).path).endswith(f"/{file}")
        ]

    def close(self) -> None:
        for server in (self._hub, self._content):
            server.shutdown()
            server.server_close()

    def _serve(self, name: str, answer: Callable[[BaseHTTPRequestHandler], None]) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                hub.requests.append(Seen(name, self.command, self.path, headers))
                self.close_connection = True
                with suppress(BrokenPipeError, ConnectionResetError):
                    answer(self)

            do_HEAD = do_GET

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def _answer_hub(self, request: BaseHTTPRequestHandler) -> None:
        parts = unquote(urlsplit(request.path).path).strip("/").split("/")
        is_listing = parts[:2] == ["api", "models"]
        repo_name = "/".join(parts[2:4] if is_listing else parts[:2])
        repo = self.repos.get(repo_name)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
        if repo is None or (repo.private_to is not None and token != repo.private_to):
            return _refuse(request, 404 if token and repo is None else 401, "RepoNotFound")
        if is_listing:
            fault = self._next("listing")
            if len(parts) != 6 or parts[5] not in ("main", repo.commit):
                return _refuse(request, 404, "RevisionNotFound")
            listing = self._tree(repo) if parts[4] == "tree" else self._listing(repo_name, repo)
            return _send(request, json.dumps(listing).encode(), fault, "application/json")
        if len(parts) < 5 or parts[2] != "resolve" or parts[3] not in ("main", repo.commit):
            return _refuse(request, 404, "RevisionNotFound")
        file = "/".join(parts[4:])
        if repo.gated and token is None:
            return _refuse(request, 401, "GatedRepo")
        if repo.gated and token != "may-read":
            return _refuse(request, 403, "GatedRepo")
        if file not in repo.files:
            return _refuse(request, 404, "EntryNotFound")
        content = repo.files[file]
        told = {"X-Repo-Commit": repo.commit}
        if len(content) < LARGE or not self.redirects_large:
            # Counted as content, wherever it comes from.
            self.requests.append(
                Seen("content", *(self.requests[-1].method, self.requests[-1].path), self.requests[-1].headers)
            )
            return _send(request, content, self._next(file), headers=told)
        fault = self._next("redirect")
        if repo.tells_digests:
            told |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"'}
        location = f"{self.content_endpoint}/{repo_name}/{repo.commit}/{file}?signature=secret-in-the-query"
        return _send(request, b"", Fault(status=302, headers={"Location": location, **told, **fault.headers}))

    def _answer_content(self, request: BaseHTTPRequestHandler) -> None:
        parts = unquote(urlsplit(request.path).path).strip("/").split("/")
        file = "/".join(parts[3:])
        _send(request, self.repos["/".join(parts[:2])].files[file], self._next(file))

    def _next(self, file: str) -> Fault:
        return self.faults[file].popleft() if self.faults[file] else Fault()

    def _listing(self, name: str, repo: Repo) -> dict[str, object]:
        siblings = []
        for path, content in repo.files.items():
            sibling: dict[str, object] = {"rfilename": path}
            if repo.tells_digests:
                sibling |= {"size": len(content), "blobId": git_blob_id(content)}
                if len(content) >= LARGE:
                    sha256 = hashlib.sha256(content).hexdigest()
                    sibling["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        return {"id": name, "modelId": name, "sha": repo.commit, "private": False, "gated": False, "siblings": siblings}

    def _tree(self, repo: Repo) -> list[dict[str, object]]:
        """The other form of the list, which the official client asks for."""
        lines: list[dict[str, object]] = []
        for path, content in repo.files.items():
            lines.append({"type": "file", "path": path, "size": len(content), "oid": git_blob_id(content)})
            if len(content) >= LARGE:
                sha256 = hashlib.sha256(content).hexdigest()
                lines[-1]["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 134}
        return lines


def git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    try:
        yield hub
    finally:
        hub.close()


def _refuse(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
    _send(request, b"", Fault(status=status, headers={"X-Error-Code": code, "X-Error-Message": "no"}))


def _send(
    request: BaseHTTPRequestHandler,
    content: bytes,
    fault: Fault = Fault(),
    kind: str = "application/octet-stream",
    headers: dict[str, str] | None = None,
) -> None:
    content = content if fault.body is None else fault.body
    whole = len(content)
    status, start = 200, 0
    asked = request.headers.get("Range", "")
    condition = request.headers.get("If-Range")
    etag = f'"{hashlib.md5(content).hexdigest()}"'
    if asked.startswith("bytes=") and not fault.ignore_range and fault.status is None and condition in (None, etag):
        start = int(asked.removeprefix("bytes=").partition("-")[0]) + fault.shift_range
        status = 206 if start < whole else 416
    body = content[start:] if status != 416 and fault.status is None else b""
    told = {
        "Content-Type": kind,
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Content-Length": str(len(body) + fault.announce),
    }
    if status == 206:
        told["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
    told |= (headers or {}) | fault.headers | {"Connection": "close"}
    request.send_response(fault.status or status)
    for name, value in told.items():
        if value:
            request.send_header(name, value)
    request.end_headers()
    if request.command == "HEAD":
        return
    if fault.cut_after is not None:
        request.wfile.write(body[: fault.cut_after])
        request.wfile.flush()
        # A reset, not an orderly close: what a dropped network looks like.
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.connection.close()
    elif fault.stall_after is not None:
        request.wfile.write(body[: fault.stall_after])
        request.wfile.flush()
        time.sleep(fault.seconds)
    elif fault.drip:
        for index in range(len(body)):
            request.wfile.write(body[index : index + 1])
            request.wfile.flush()
            time.sleep(fault.seconds)
    else:
        request.wfile.write(body)
