"""Models by name: the catalogue, downloads, the store, import, and loading.

Everything is resolved on first use: looking up a model that is on this machine imports neither the network nor a
reader of foreign files.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketphi.hub.catalogue import CATALOGUE as CATALOGUE
    from pocketphi.hub.catalogue import DEFAULT_MODEL as DEFAULT_MODEL
    from pocketphi.hub.convert import import_model as import_model
    from pocketphi.hub.fetch import pull as pull
    from pocketphi.hub.store import ModelFacts as ModelFacts
    from pocketphi.hub.store import NotPulledError as NotPulledError
    from pocketphi.hub.store import StoredModel as StoredModel
    from pocketphi.hub.store import list_models as list_models
    from pocketphi.hub.store import remove_model as remove_model
    from pocketphi.hub.store import resolve as resolve
    from pocketphi.hub.store import show_model as show_model
    from pocketphi.hub.store import verify_model as verify_model

_HOMES = {
    "CATALOGUE": "catalogue",
    "DEFAULT_MODEL": "catalogue",
    "ModelFacts": "store",
    "NotPulledError": "store",
    "StoredModel": "store",
    "import_model": "convert",
    "list_models": "store",
    "pull": "fetch",
    "remove_model": "store",
    "resolve": "store",
    "show_model": "store",
    "verify_model": "store",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `pocketphi.hub` has no attribute `{name}`")
    value = getattr(import_module(f"pocketphi.hub.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
