"""Just enough of the Hugging Face hub: what a repository holds, and which of its files are on this machine already.

The listing of a revision gives its commit and, file by file, the size and a digest: SHA-256 of large files, the git
blob id of small ones. Every download is then pinned to that commit and checked against that digest. Files that other
programs left in the Hugging Face cache (`models--owner--name/snapshots/COMMIT/...`) are checked the same way and used
where they lie. That cache is never written.
"""

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pocketphi.config import Settings
from pocketphi.errors import UserError, shown
from pocketphi.formats.strict_json import parse_json
from pocketphi.hub.catalogue import CATALOGUE, HubSource, nearest_hint
from pocketphi.hub.download import Digest, RemoteFile
from pocketphi.hub.web import BrokenConnection, Notify, Patience, Refused, open_url, retrying

MAX_LISTING_BYTES = 32 << 20
_LISTING_ATTEMPTS = 4
_LISTING_SILENCE_SECONDS = 15.0
"""A list is asked for before anything is gained, so that no network at all is noticed soon."""

_COMMIT = re.compile("[0-9a-f]{40}")
_SHA256 = re.compile("[0-9a-f]{64}")
_PART = re.compile(r"model-\d{5}-of-(\d{5})\.safetensors")
_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_BESIDE_THE_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
"""What an import may read, first to last. Code that a repository ships is never fetched."""


@dataclass(frozen=True)
class RepoFile:
    """One file of a snapshot. Size and digest are None where the server does not tell them."""

    path: str
    size: int | None
    digest: Digest | None


@dataclass(frozen=True)
class Snapshot:
    """What a repository holds at one commit."""

    repo: str
    commit: str
    files: Mapping[str, RepoFile]


def fetch_snapshot(source: HubSource, settings: Settings, patience: Patience, notify: Notify) -> Snapshot:
    """Ask the hub what `source` holds now."""
    patience = replace(
        patience,
        attempts=min(patience.attempts, _LISTING_ATTEMPTS),
        silence_seconds=min(patience.silence_seconds, _LISTING_SILENCE_SECONDS),
    )
    url = f"{settings.hf_endpoint}/api/models/{source.repo}/revision/{quote(source.revision, safe='')}?blobs=true"

    def attempt() -> bytes:
        answer = open_url(url, settings, patience, headers={"Accept": "application/json"})
        with answer.response as response:
            try:
                body = response.read(MAX_LISTING_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                raise BrokenConnection(f"the list of files broke off: {error}") from error
            length = answer.headers.get("Content-Length", "")
            if length.isdecimal() and len(body) < min(int(length), MAX_LISTING_BYTES):
                raise BrokenConnection("the list of files broke off")
        return body

    try:
        body = retrying(attempt, patience, notify=notify, what=f"`{source.repo}`")
    except Refused as refused:
        raise explain(refused, source, settings) from refused
    return _parse_listing(body, source)


def find_cached_snapshot(source: HubSource, settings: Settings) -> Snapshot | None:
    """What the Hugging Face cache holds of `source`: all that can be known without the network."""
    folder = _cache_folder(source.repo, settings)
    commit = source.revision
    if not _COMMIT.fullmatch(commit):
        try:
            commit = (folder / "refs" / source.revision).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
    snapshot = folder / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not snapshot.is_dir():
        return None
    paths = [path for path in snapshot.rglob("*") if path.is_file()]
    names = {path.relative_to(snapshot).as_posix(): path for path in paths}
    files = {name: RepoFile(name, path.stat().st_size, _digest_by_name(path)) for name, path in names.items()}
    return Snapshot(source.repo, commit, files)


def find_cached_file(file: RepoFile, snapshot: Snapshot, settings: Settings, notify: Notify) -> Path | None:
    """Where `file` lies in the Hugging Face cache, whole and right; None if it does not. `notify` hears of a check."""
    path = _cache_folder(snapshot.repo, settings) / "snapshots" / snapshot.commit / file.path
    try:
        if not path.is_file() or file.size not in (None, path.stat().st_size):
            return None
        notify(f"checking {file.path} in the Hugging Face cache")
        return path if file.digest is None or file.digest.matches(path) else None
    except OSError:
        return None


def choose_files(snapshot: Snapshot, source: HubSource) -> list[RepoFile]:
    """The files of `snapshot` that an import of `source` reads, small ones first."""
    files = snapshot.files
    if source.file is not None:
        if source.file not in files:
            ggufs = [path for path in files if path.lower().endswith(".gguf")]
            raise UserError(
                f"`{source.repo}` has no file `{source.file}`", hint=nearest_hint(source.file, ggufs or files)
            )
        return [files[source.file]]
    if _WHOLE in files:
        parts = [_WHOLE]
    elif _INDEX in files:
        parts = sorted(path for path in files if _PART.fullmatch(path))
    else:
        parts = []
    if not parts or "config.json" not in files or "tokenizer.json" not in files:
        raise _not_a_model(snapshot)
    for part in parts:
        match = _PART.fullmatch(part)
        if match is not None and int(match[1]) != len(parts):
            raise UserError(f"`{source.repo}` holds {len(parts)} weight files, but has one named `{part}`")
    index = [_INDEX] if parts != [_WHOLE] else []
    return [files[path] for path in (*_BESIDE_THE_WEIGHTS, *index, *parts) if path in files]


def is_complete(snapshot: Snapshot, source: HubSource) -> bool:
    """Whether `snapshot` holds what an import of `source` needs."""
    try:
        choose_files(snapshot, source)
    except UserError:
        return False
    return True


def remote_file(file: RepoFile, snapshot: Snapshot, settings: Settings) -> RemoteFile:
    url = f"{settings.hf_endpoint}/{snapshot.repo}/resolve/{snapshot.commit}/{quote(file.path)}"
    return RemoteFile(url=url, label=file.path, size=file.size, digest=file.digest)


def explain(refused: Refused, source: HubSource, settings: Settings) -> UserError:
    """What a person can do about the hub's no."""
    page = f"{settings.hf_endpoint}/{source.repo}"
    if refused.code == "GatedRepo":
        return UserError(
            f"`{source.repo}` is given only to those who accepted its licence ({refused})",
            hint=f"accept it at {page}, then set `HF_TOKEN` to a token of that account",
        )
    if refused.status == 401 and settings.hf_token is not None:
        return UserError(
            f"the hub does not accept the token in use for `{source.repo}` ({refused})",
            hint=f"check `HF_TOKEN`, or the file `{settings.hf_home / 'token'}`, and the name of the repository",
        )
    if refused.status in (401, 403):
        return UserError(
            f"`{source.repo}` is private, needs a licence to be accepted, or does not exist ({refused})",
            hint=f"check the name, accept the licence at {page} if there is one, and set `HF_TOKEN`",
        )
    if refused.status == 404 and refused.code == "RevisionNotFound":
        return UserError(f"`{source.repo}` has no revision `{source.revision}`", hint=f"see {page}/commits")
    if refused.status == 404:
        known = [entry.source.repo for entry in CATALOGUE if isinstance(entry.source, HubSource)]
        return UserError(f"`{source.repo}` was not found on the hub ({refused})", hint=nearest_hint(source.repo, known))
    return UserError(f"`{source.repo}`: {refused}", hint=f"see {page}; check `HF_ENDPOINT`")


def _parse_listing(body: bytes, source: HubSource) -> Snapshot:
    where = f"the hub's list of the files of `{source.repo}`"
    hint = "check `HF_ENDPOINT`: something other than a Hugging Face hub may answer there"
    try:
        listing = parse_json(body, where, MAX_LISTING_BYTES)
    except UserError as error:
        raise UserError(error.message, hint=hint) from None
    commit, siblings = listing.get("sha"), listing.get("siblings")
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise UserError(f"{where}: `sha` is `{shown(commit)}`, not a commit", hint=hint)
    if not isinstance(siblings, list) or not all(isinstance(sibling, dict) for sibling in siblings):
        raise UserError(f"{where}: `siblings` is not a list of files", hint=hint)
    files = [file for file in map(_parse_file, siblings) if file is not None]
    return Snapshot(source.repo, commit, {file.path: file for file in files})


def _parse_file(sibling: Mapping[str, Any]) -> RepoFile | None:
    """A line of the listing; None if it is not one that could be fetched."""
    path, size = sibling.get("rfilename"), sibling.get("size")
    lfs, blob = sibling.get("lfs"), sibling.get("blobId")
    if not isinstance(path, str) or not path.isprintable():
        return None
    if type(size) is not int or not 0 <= size < 1 << 53:
        size = None
    digest = None
    if isinstance(lfs, dict):
        sha256 = lfs.get("sha256")
        digest = Digest("sha256", sha256) if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else None
    elif size is not None and isinstance(blob, str) and _COMMIT.fullmatch(blob):
        digest = Digest("git", blob)
    return RepoFile(path, size, digest)


def _digest_by_name(path: Path) -> Digest | None:
    """The digest that the cache's own blob name states, where `path` is a link to a blob."""
    name = path.resolve().name
    if _SHA256.fullmatch(name):
        return Digest("sha256", name)
    return Digest("git", name) if _COMMIT.fullmatch(name) else None


def _cache_folder(repo: str, settings: Settings) -> Path:
    return settings.hf_hub_cache / f"models--{repo.replace('/', '--')}"


def _not_a_model(snapshot: Snapshot) -> UserError:
    ggufs = sorted(path for path in snapshot.files if path.lower().endswith(".gguf"))
    if ggufs:
        listed = ", ".join(f"`hf:{snapshot.repo}/{path}`" for path in ggufs[:8])
        return UserError(f"`{snapshot.repo}` holds GGUF files, of which one has to be named", hint=f"there is {listed}")
    if any(path.endswith((".bin", ".pt", ".pth")) for path in snapshot.files):
        return UserError(
            f"`{snapshot.repo}` has its weights only as pickles, which can run code and are never read",
            hint="look for a copy of the model with `.safetensors` files",
        )
    hint = "a model folder holds config.json, tokenizer.json and model.safetensors (or an index and its parts)"
    return UserError(f"`{snapshot.repo}` holds no model that can be imported", hint=hint)
