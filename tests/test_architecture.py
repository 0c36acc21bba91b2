"""What must hold for the package as a whole: who imports whom, what never loads, what is never called."""

import ast
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pocketphi.formats.pocket import PocketFile

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pocketphi"
BIN = Path(sys.executable).parent

FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jinja2", "imp"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def run_python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def syntax_trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(ROOT), ast.parse(path.read_text(), filename=str(path))


def test_imports_point_down():
    result = subprocess.run([BIN / "lint-imports", "--no-logo"], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("area", ["runtime", "formats", "hub", "serve", "tokenizer", "cli"])
def test_talking_to_a_model_needs_no_torch(area: str):
    loaded = run_python(
        f"""
import importlib, pkgutil, sys
area = importlib.import_module("pocketphi.{area}")
for module in pkgutil.walk_packages(getattr(area, "__path__", []), area.__name__ + "."):
    if module.name != "pocketphi.runtime.torch_backend":  # imported by the caller that wants it
        importlib.import_module(module.name)
print(*sorted({{"torch", "transformers", "gguf", "safetensors", "pandas", "scipy"}} & set(sys.modules)))
"""
    )
    assert loaded.strip() == "", f"importing pocketphi.{area} loads {loaded}"


def test_importing_the_package_loads_nothing_else():
    loaded = run_python("import sys; import pocketphi; print(*(m for m in sys.modules if m.startswith('pocketphi.')))")
    assert loaded.strip() == "pocketphi.version"


def unconfined() -> Iterator[tuple[Path, ast.Module]]:
    """All but what runs inside the sandbox, whose work is to run a model's code with an empty environment."""
    return ((path, tree) for path, tree in syntax_trees() if path.as_posix() != "pocketphi/eval/sandbox/inside.py")


def test_no_code_can_come_out_of_a_file():
    found = []
    for path, tree in unconfined():
        for node in ast.walk(tree):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                found.append(f"{path}:{node.lineno}: calls {node.func.id}")
            elif isinstance(node, ast.keyword) and node.arg in {"shell", "allow_pickle"}:
                found.append(f"{path}:{node.value.lineno}: passes {node.arg}")
            found += [f"{path}: imports {name}" for name in names if name.split(".")[0] in FORBIDDEN_IMPORTS]
    assert not found, "\n".join(found)


def test_the_environment_is_read_in_one_place():
    """Handing all of it to a child process (`{**os.environ, ...}`) is no reading."""
    found = []
    for path, tree in unconfined():
        handed_on = {value for node in ast.walk(tree) if isinstance(node, ast.Dict) for value in node.values}
        found += [
            f"{path}:{node.lineno}"
            for node in ast.walk(tree)
            if path.name != "config.py" and node not in handed_on
            if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "expanduser", "home"}
            if isinstance(node.value, ast.Name) and node.value.id in {"os", "Path"}
        ]
    assert not found, f"the environment belongs to config.py: {found}"


def test_every_module_says_what_it_is():
    silent = [str(path) for path, tree in syntax_trees() if tree.body and not ast.get_docstring(tree)]
    assert not silent, f"no docstring at the head of {silent}"


def test_help_comes_at_once():
    """Under 0.3 s of processor time, which a busy machine does not add to."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([BIN / "pocketphi", "--help"], check=True, capture_output=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    median = statistics.median(seconds() for _ in range(7))
    assert median < 0.3, f"`pocketphi --help` takes {median:.2f} s; `python -X importtime` shows on what"


def test_chat_with_a_local_model_touches_no_network(tiny_file: PocketFile):
    """No HTTP client is loaded, and nothing is looked up, connected or sent."""
    loaded = run_python(
        f"""
import sys

def no_network(event, arguments):
    if event.startswith("socket.") and event != "socket.__new__":
        raise RuntimeError(f"{{event}} {{arguments}}")

sys.addaudithook(no_network)
from pocketphi.cli import main
try:
    main(["chat", {str(tiny_file.path)!r}, "--prompt", "hello", "--max-tokens", "3"])
except SystemExit as leave:
    assert not leave.code, leave.code
clients = {{"ssl", "http.client", "urllib.request", "urllib3", "requests", "httpx", "httpx2", "huggingface_hub"}}
print("loaded:", *sorted(clients & set(sys.modules)))
"""
    )
    assert loaded.rstrip().endswith("loaded:"), loaded
