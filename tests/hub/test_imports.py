"""Using a model that is here imports nothing of the network, and nothing of the hub imports torch."""

import subprocess
import sys

import pytest

NETWORK = ("http.client", "urllib.request", "ssl", "pocketphi.hub.web", "subprocess", "huggingface_hub", "requests")


def imported(code: str) -> set[str]:
    """The modules that `code` brings in, beyond those of a bare interpreter."""
    script = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*(set(sys.modules) - before))"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


RESOLVE = """
from pocketphi.hub import NotPulledError, list_models, resolve
try:
    resolve("smollm2-135m")
except NotPulledError:
    pass
list_models()
"""


@pytest.mark.parametrize(
    "code", [RESOLVE, "import pocketphi.hub.load", "from pocketphi.hub import CATALOGUE, remove_model"]
)
def test_using_what_is_here_imports_no_network(code: str):
    assert imported(code).isdisjoint(NETWORK)


@pytest.mark.parametrize("module", ["fetch", "convert", "load", "store", "wheel"])
def test_nothing_imports_torch(module: str):
    assert imported(f"import pocketphi.hub.{module}").isdisjoint({"torch", "transformers"})


def test_every_name_of_the_package_can_be_had():
    code = "import pocketphi.hub as hub\nfor name in hub.__all__: assert getattr(hub, name) is not None"
    assert imported(code)
