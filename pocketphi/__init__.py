"""pocketphi: a small language model that punches above its size, in your pocket."""

from typing import TYPE_CHECKING, Any

from pocketphi.version import __version__

if TYPE_CHECKING:
    from pocketphi.hub.load import load as load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # Resolved on first use, so that `import pocketphi` and `pocketphi --help` stay instant.
    if name == "load":
        from pocketphi.hub.load import load

        return load
    raise AttributeError(f"module `pocketphi` has no attribute `{name}`")
