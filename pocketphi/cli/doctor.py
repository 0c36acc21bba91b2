"""`pocketphi doctor`: what this machine has for a chat, and what is missing."""

import importlib.util
import json as json_format
import os
import platform
import shutil
import socket
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import typer

from pocketphi.cli.options import Json
from pocketphi.config import settings
from pocketphi.errors import UserError
from pocketphi.version import __version__


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at."""

    what: str
    found: str
    problem: str | None = None
    """What does not work because of it, and the repair; None if all is well."""


def doctor(json: Json = False) -> None:
    """Look at what a chat and a server need here: engine, processor, memory, folders, models, libraries, the port.

    Says what to do about what is missing, and exits 1 if a chat would fail for it.
    """
    findings = [_program(), _engine(), _memory(), _cache(), _models(), _network(), _server(), _port(), _page()]
    problems = [finding for finding in findings if finding.problem is not None]
    if json:
        print(json_format.dumps({f.what: {"found": f.found, "problem": f.problem} for f in findings}))
    else:
        for finding in findings:
            print(f"{finding.what:10}{finding.found}")
        for finding in problems:
            print(f"problem   {finding.what}: {finding.problem}")
    if problems:
        raise typer.Exit(1)


def _program() -> Finding:
    system = f"{platform.system()} {platform.machine()}"
    return Finding(what="pocketphi", found=f"{__version__}, Python {platform.python_version()}, {system}")


def _engine() -> Finding:
    from pocketphi.runtime import abi
    from pocketphi.runtime.machine import available_cores

    try:
        library = abi.library()
    except UserError as error:
        return Finding(what="engine", found="not loaded", problem=str(error).replace("\n\nhint: ", "; "))
    best = abi.Isa(library.pp_best_isa())
    lacking = [isa.name.lower() for isa in abi.Isa if isa > best]
    slower = f", not {' and '.join(lacking)}: prompts are read more slowly" if lacking else ""
    return Finding(what="engine", found=f"{best.name.lower()} instructions{slower}; {available_cores()} cores")


def _memory() -> Finding:
    from pocketphi.hub.disk import human_size
    from pocketphi.runtime.machine import available_memory

    available = available_memory()
    return Finding(what="memory", found="unknown" if available is None else f"{human_size(available)} available")


def _cache() -> Finding:
    from pocketphi.hub.disk import human_size

    folder = settings().cache_dir
    there = next(place for place in (folder, *folder.parents) if place.exists())
    found = f"{folder}, {human_size(shutil.disk_usage(there).free)} free"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Finding(
            what="folder", found=found, problem=f"`{there}` cannot be written; set `XDG_CACHE_HOME` to one that can"
        )
    return Finding(what="folder", found=found)


def _models() -> Finding:
    from pocketphi.hub import list_models
    from pocketphi.hub.disk import human_size

    stored = list_models()
    damaged = [model.name for model in stored if model.problem is not None]
    taken = human_size(sum(model.path.stat().st_size for model in stored if model.path.is_file()))
    return Finding(
        what="models",
        found=f"{', '.join(model.name for model in stored)}: {taken}"
        if stored
        else "none yet; `pocketphi chat` pulls a small one",
        problem=f"`pocketphi rm {' '.join(damaged)}` removes what cannot be opened" if damaged else None,
    )


def _network() -> Finding:
    here = settings()
    if here.offline:
        return Finding(what="network", found="forbidden by `POCKETPHI_OFFLINE` or `HF_HUB_OFFLINE`")
    problem = None
    if importlib.util.find_spec("pip") is None:
        problem = "this Python has no pip, which fetches smollm2-135m; `python -m ensurepip` adds it"
    address = urllib.parse.urlsplit(here.hf_endpoint)
    if address.scheme not in ("http", "https") or not address.netloc:
        problem = "`HF_ENDPOINT` is no address such as https://huggingface.co"
    return Finding(what="network", found=f"used by `pull` alone: {here.hf_endpoint}, pip", problem=problem)


def _server() -> Finding:
    needed = ("cryptography", "fastapi", "httptools", "llguidance", "prometheus_client", "psutil", "segno", "uvicorn")
    lacking = [name for name in needed if importlib.util.find_spec(name) is None]
    if lacking:
        return Finding(what="server", found=f"lacks {', '.join(lacking)}; `pip install 'pocketphi[serve]'` brings them")
    folder = settings().state_dir / "serve"
    certificate = folder / "server.crt"
    if not certificate.is_file():
        return Finding(what="server", found="its libraries are here; HTTPS is set up by the first `--host`")
    from cryptography import x509

    try:
        expires = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        problem = f"`{certificate}` cannot be read; remove it, and the next start makes a new one"
        return Finding(what="server", found="its certificate is damaged", problem=problem)
    return Finding(what="server", found=f"its libraries are here; certificate until {expires:%Y-%m-%d}, then made anew")


def _port() -> Finding:
    from pocketphi.cli.serve import PORT

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            owner = "a server of ours" if _is_ours(PORT) else "another program"
            return Finding(
                what="port", found=f"{PORT} is taken by {owner}; `pocketphi serve --port 0` takes a free one"
            )
    return Finding(what="port", found=f"{PORT} is free for `pocketphi serve`")


def _is_ours(port: int) -> bool:
    """Whether what listens there calls itself pocketphi. Asks this machine alone."""
    import http.client  # here, so that no other verb imports network code

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().getheader("x-served-by") == "pocketphi"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _page() -> Finding:
    index = Path(__file__).parents[1] / "serve" / "page" / "index.html"
    if index.is_file():
        return Finding(what="page", found="the chat page is built")
    node = shutil.which("node")
    how = "`make web` builds it" if node else "`make web` builds it and needs Node.js 20"
    return Finding(what="page", found=f"the chat page is not built; {how}")
