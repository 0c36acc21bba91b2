"""What the surroundings say: environment variables and folders, read here and nowhere else.

`settings()` reads the environment once per call and returns a frozen `Settings`, so a test sets a
variable and sees it, and every other module takes plain values. Folders follow the XDG base
directory specification, which ignores relative paths. Nothing is created here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pocketphi.errors import UserError

DEFAULT_ENDPOINT = "https://huggingface.co"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The environment, understood. Every field names the variables it comes from."""

    offline: bool
    """`POCKETPHI_OFFLINE` or `HF_HUB_OFFLINE`: refuse the network. Anything but an empty value, `0`, `false`, `no`
    and `off` counts as on, because a typo must not open a connection."""

    cache_dir: Path
    """`XDG_CACHE_HOME/pocketphi`: models; safe to delete."""

    state_dir: Path
    """`XDG_STATE_HOME/pocketphi`: the history of the chat."""

    hf_home: Path
    """`HF_HOME`, else `XDG_CACHE_HOME/huggingface`."""

    hf_hub_cache: Path
    """`HF_HUB_CACHE`, else `hf_home/hub`: files that other programs have already fetched."""

    hf_endpoint: str
    """`HF_ENDPOINT`: the hub's address, without a final slash."""

    hf_token: str | None = field(repr=False)
    """`HF_TOKEN`, else the token that `hf auth login` keeps in `hf_home/token`."""

    endpoint_key: str | None = field(repr=False)
    """`POCKETPHI_API_KEY`: what a model's server (`pocketphi eval http://...`) asks for."""

    serve_keys: tuple[str, ...] = field(repr=False)
    """`POCKETPHI_SERVE_KEYS`: what `pocketphi serve` asks of its clients, separated by commas or spaces."""

    no_color: bool
    """`NO_COLOR`: set to anything but an empty value."""

    data_dir: Path | None
    """`POCKETPHI_DATA`: real text for development and tests."""


def settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings that `environ` (by default the process's own environment) asks for."""
    env = os.environ if environ is None else environ
    caches = _folder(env, "XDG_CACHE_HOME", ".cache")
    hf_home = Path(env["HF_HOME"]).expanduser() if env.get("HF_HOME") else caches / "huggingface"
    hub_cache = env.get("HF_HUB_CACHE")
    return Settings(
        offline=_flag(env, "POCKETPHI_OFFLINE") or _flag(env, "HF_HUB_OFFLINE"),
        cache_dir=caches / "pocketphi",
        state_dir=_folder(env, "XDG_STATE_HOME", ".local/state") / "pocketphi",
        hf_home=hf_home,
        hf_hub_cache=Path(hub_cache).expanduser() if hub_cache else hf_home / "hub",
        hf_endpoint=(env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/"),
        hf_token=env.get("HF_TOKEN", "").strip() or _stored_token(hf_home / "token"),
        endpoint_key=env.get("POCKETPHI_API_KEY", "").strip() or None,
        serve_keys=tuple(env.get("POCKETPHI_SERVE_KEYS", "").replace(",", " ").split()),
        no_color=bool(env.get("NO_COLOR")),
        data_dir=Path(env["POCKETPHI_DATA"]).expanduser() if env.get("POCKETPHI_DATA") else None,
    )


def quiet_daft() -> None:
    """Before Daft is imported: it counts its users unless it is told not to, and its bars would fight with ours."""
    os.environ.update(DO_NOT_TRACK="1", DAFT_ANALYTICS_ENABLED="0", DAFT_PROGRESS_BAR="0")


def quiet_harness(*, offline: bool) -> None:
    """Before lm-evaluation-harness is imported: its bars would stand beside ours, and its data come from the hub."""
    os.environ.update(TQDM_DISABLE="1", TOKENIZERS_PARALLELISM="false")
    if offline:
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")


def _flag(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").strip().lower() not in {"", "0", "false", "no", "off"}


def _folder(env: Mapping[str, str], variable: str, below_home: str) -> Path:
    chosen = Path(env.get(variable, ""))
    if chosen.is_absolute():
        return chosen
    try:
        home = Path(env.get("HOME") or Path.home())
    except RuntimeError as error:
        hint = f"set `{variable}` to a folder"
        raise UserError(f"no home directory, and `{variable}` is not set", hint=hint) from error
    return home / below_home


def _stored_token(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
