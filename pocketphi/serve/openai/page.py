"""The chat page: the files that `make web` built, read once at start and served from memory.

What may be asked for is a table of names, so no spelling of a path reaches the file system. Files whose names carry
their digest (`assets/`) may be kept for ever; the others are asked for again each time, and answered 304 if unchanged.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

CSP = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "style-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
PAGE_ROUTE = "page"
"""The name of every route to a file of the page: those need no key."""
MAX_FILES = 2_000
MAX_FILE_BYTES = 32 << 20
_SMALLEST_PACKED = 512
_PACKED_ALREADY = {".png", ".jpg", ".webp", ".avif", ".woff", ".woff2", ".ico"}
_ABSENT = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>pocketphi</title>
<meta name="viewport" content="width=device-width"><h1>pocketphi is running</h1>
<p>The API is at <code>/v1</code>, its documentation at <a href="/docs">/docs</a>.</p>
<p>The chat page was not built. Build it once with <code>make web</code> (needs Node.js 20), then start the server
again.</p></html>
"""


@dataclass(frozen=True, kw_only=True)
class PageFile:
    """One file as it is sent."""

    body: bytes
    packed: bytes | None
    """The same by gzip, if that is shorter."""
    headers: dict[str, str]


def page_routes(folder: Path) -> list[Route]:
    """A route for every file of the built page; if there is none, one that says how to build it."""
    files = (
        {"index.html": _file("index.html", _ABSENT, None)} if not (folder / "index.html").is_file() else _read(folder)
    )
    routes = [_route(f"/{name}", file) for name, file in files.items()]
    return [_route("/", files["index.html"]), *routes]


def _read(folder: Path) -> dict[str, PageFile]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if len(paths) > MAX_FILES:
        raise ValueError(f"{folder} holds {len(paths)} files, which no page of ours does")
    files = {}
    for path in paths:
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".gz" or path.stat().st_size > MAX_FILE_BYTES:
            continue
        beside = path.with_name(path.name + ".gz")
        files[name] = _file(name, path.read_bytes(), beside.read_bytes() if beside.is_file() else None)
    return files


def _file(name: str, body: bytes, packed: bytes | None) -> PageFile:
    suffix = Path(name).suffix
    if packed is None and len(body) >= _SMALLEST_PACKED and suffix not in _PACKED_ALREADY:
        packed = gzip.compress(body, 9, mtime=0)
    if packed is not None and len(packed) >= len(body):
        packed = None
    is_hashed = name.startswith("assets/")
    headers = {
        "content-type": _content_type(name),
        "cache-control": "public, max-age=31536000, immutable" if is_hashed else "no-cache",
        "content-security-policy": CSP,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "etag": f'"{hashlib.sha256(body).hexdigest()[:24]}"',
    }
    if packed is not None:
        headers["vary"] = "accept-encoding"
    return PageFile(body=body, packed=packed, headers=headers)


def _content_type(name: str) -> str:
    if name.endswith((".webmanifest", "manifest.json")):
        return "application/manifest+json"
    kind = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}.get(
        Path(name).suffix, mimetypes.guess_type(name)[0] or "application/octet-stream"
    )
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _route(path: str, file: PageFile) -> Route:
    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == file.headers["etag"]:
            return Response(status_code=304, headers=file.headers)
        accepted = request.headers.get("accept-encoding", "")
        if file.packed is not None and "gzip" in accepted:
            return Response(file.packed, headers={**file.headers, "content-encoding": "gzip"})
        return Response(file.body, headers=file.headers)

    return Route(path, answer, methods=["GET"], name=PAGE_ROUTE, include_in_schema=False)
