"""Bad files are refused by name, at once, in bounded memory, and without running anything."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from formats.builders import model_gguf, safetensors_bytes, small_safetensors, write_folder
from formats.hostile import Case
from formats.hostile_gguf import gguf_cases
from formats.hostile_pocket import pocket_cases
from formats.hostile_safetensors import safetensors_cases
from pocketphi.errors import UserError
from pocketphi.formats.files import open_regular
from pocketphi.formats.gguf import open_gguf
from pocketphi.formats.huggingface import map_safetensors, open_folder
from pocketphi.formats.pocket import open_pocket, verify_pocket
from pocketphi.hub.convert import import_model
from tiny import write_tiny

MAX_SECONDS = 2.0
MAX_EXTRA_BYTES = 64 << 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid Hugging Face folder, to be given bad weights."""
    return write_folder(tmp_path_factory.mktemp("folder") / "hf")


@pytest.fixture(scope="module")
def pocket_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny(tmp_path_factory.mktemp("pocket") / "tiny.pocket").path.read_bytes()


def resident(field: str) -> int:
    """`VmRSS` or `VmHWM` of this process, in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def check_refused(case: Case, path: Path, action: Callable[[], Any]) -> None:
    """The error names the file and matches; time and memory stay within the bounds."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
        before = resident("VmRSS")
    started = time.perf_counter()
    with pytest.raises(UserError) as error:
        action()
    assert time.perf_counter() - started < MAX_SECONDS
    if reset.exists():
        assert resident("VmHWM") - before <= len(case.raw) + MAX_EXTRA_BYTES
    message = error.value.message
    assert re.search(case.message, message), message
    assert path.name in message, message
    assert message.isprintable(), message
    assert len(message) < 1200


@pytest.mark.parametrize("case", [*gguf_cases()], ids=lambda case: case.name)
def test_gguf(case: Case, tmp_path: Path):
    path = tmp_path / "bad.gguf"
    path.write_bytes(case.raw)
    check_refused(case, path, lambda: import_model(path, tmp_path / "out.pocket"))
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("case", [*safetensors_cases()], ids=lambda case: case.name)
def test_safetensors(case: Case, tmp_path: Path, folder: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(case.raw)
    check_refused(case, path, lambda: map_safetensors(path))
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path)
    check_refused(case, path, lambda: import_model(tmp_path, tmp_path / "out.pocket"))
    assert not (tmp_path / "out.pocket").exists()


def test_pocket(tmp_path: Path, pocket_bytes: bytes):
    # One test for all: the cases are made from a file that a fixture writes.
    path = tmp_path / "bad.pocket"
    for case in pocket_cases(pocket_bytes):
        path.write_bytes(case.raw)
        try:
            check_refused(case, path, lambda: verify_pocket(path))
        except BaseException as error:
            error.add_note(f"case: {case.name}")
            raise


def test_there_are_enough_cases(pocket_bytes: bytes):
    cases = [*gguf_cases(), *safetensors_cases(), *pocket_cases(pocket_bytes)]
    assert len({case.name for case in gguf_cases()}) == len([*gguf_cases()])
    assert len(cases) >= 150
    print(f"{len(cases)} crafted files")


READERS = {
    "gguf": open_gguf,
    "safetensors": map_safetensors,
    "pocket": open_pocket,
    "verify": verify_pocket,
    "import": lambda path: import_model(path, path.parent / "out.pocket"),
}


def odd_paths(folder: Path) -> dict[str, Path]:
    paths = {name: folder / name for name in ("pipe", "loop", "dangling", "directory", "socket", "sparse", "absent")}
    os.mkfifo(paths["pipe"])
    paths["loop"].symlink_to(paths["loop"])
    paths["dangling"].symlink_to(folder / "nowhere")
    paths["directory"].mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket is limited to 108 bytes
        server.bind("socket")
        os.chdir(here)
    with paths["sparse"].open("wb") as file:
        file.truncate(1 << 40)
    paths |= {"zero": Path("/dev/zero"), "random": Path("/dev/random"), "null": Path("/dev/null")}
    paths["a NUL in the name"] = folder / "a\0b"
    paths["name too long"] = folder / ("x" * 5000)
    return paths


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_is_refused_at_once(reader: str, tmp_path: Path):
    for name, path in odd_paths(tmp_path).items():
        started = time.perf_counter()
        with pytest.raises(UserError) as error:
            READERS[reader](path)
        assert time.perf_counter() - started < 0.1, name
        assert error.value.message.isprintable()
    assert not (tmp_path / "out.pocket").exists()


def test_an_unreadable_file_says_so(tmp_path: Path):
    path = tmp_path / "secret.pocket"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.geteuid() == 0:
        # Root reads everything; the message is the same for any error of the system.
        path = Path("/proc/self/mem/x")
    with pytest.raises(UserError, match=r"cannot open `.*`: (permission denied|not a directory)"):
        open_pocket(path)


def test_every_way_not_to_be_a_file_has_a_hint(tmp_path: Path):
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    cut = [(tmp_path / name, reader) for name, reader in (("c.pocket", open_pocket), ("c.gguf", open_gguf))]
    cut[0][0].write_bytes((1000).to_bytes(8, "little") + b"{")
    cut[1][0].write_bytes(model_gguf().build()[:100])
    odd = [Path("/dev/zero"), tmp_path, pipe, loop, tmp_path / "absent", tmp_path / ("x" * 300), cut[0][0] / "x"]
    for path, reader in [*((path, open_pocket) for path in odd), *cut]:
        with pytest.raises(UserError) as error:
            reader(path)
        assert error.value.hint, error.value.message
    with pytest.raises(UserError, match="not a model folder") as error:
        open_folder(tmp_path)
    assert error.value.hint


def test_a_file_that_shrinks_while_it_is_read_is_an_error_and_no_crash(tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(model_gguf().build())
    with open_regular(path) as file:
        os.truncate(path, 100)
        with pytest.raises(UserError, match="ended at byte 100 while it was read"):
            file.read(0, file.size)
        with pytest.raises(UserError, match=r"changed from \d+ to 100 bytes while it was read"):
            file.map()


def test_files_at_the_limits_are_read_in_bounded_memory(tmp_path: Path):
    """The largest headers that are allowed: many names, wide text."""
    tensors = {
        f"tensor.{i:04}": {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]} for i in range(8192)
    }
    raw = safetensors_bytes({"__metadata__": {"a": "\U0001f600" + "x" * (2 << 20)}, **tensors}, bytes(4 * 8192))
    path = tmp_path / "large.safetensors"
    path.write_bytes(raw)
    Path("/proc/self/clear_refs").write_text("5")
    before, started = resident("VmRSS"), time.perf_counter()
    assert len(map_safetensors(path)) == 8192
    assert time.perf_counter() - started < MAX_SECONDS
    assert resident("VmHWM") - before <= len(raw) + MAX_EXTRA_BYTES


AUDIT = """
import sys
from pathlib import Path
from pocketphi.errors import UserError
from pocketphi.formats.gguf import open_gguf
from pocketphi.formats.huggingface import map_safetensors, open_folder
from pocketphi.formats.pocket import verify_pocket
from pocketphi.hub.convert import import_model

WATCHED = {"exec", "compile", "import", "subprocess", "os", "pickle", "socket", "ctypes", "marshal"}
folder = Path(sys.argv[1])
"".encode("unicode_escape")  # Python imports this codec when a message first needs it

def load(path):
    out = folder / "out"
    for action in (lambda: verify_pocket(path), lambda: map_safetensors(path), lambda: import_model(path, out)):
        try:
            action()
        except UserError:
            pass

for path in sorted(folder.glob("valid*")):  # imports what is imported on first use
    load(path)
    load(path)
seen = set()
armed = True

def watch(event, arguments):
    if armed and event.split(".")[0] in WATCHED and event not in {"os.listdir", "os.scandir", "os.remove", "os.rename"}:
        seen.add((event, str(arguments)[:200]))

sys.addaudithook(watch)
for path in sorted(folder.glob("*bad*")):
    load(path)
armed = False
print(seen or "nothing")
"""


def test_loading_runs_imports_and_starts_nothing(tmp_path: Path, pocket_bytes: bytes, folder: Path):
    (tmp_path / "valid.gguf").write_bytes(model_gguf().build())
    (tmp_path / "valid.safetensors").write_bytes(small_safetensors())
    (tmp_path / "valid.pocket").write_bytes(pocket_bytes)
    shutil.copytree(folder, tmp_path / "valid")
    cases = [*gguf_cases(), *safetensors_cases(), *pocket_cases(pocket_bytes)]
    for index, case in enumerate(case for case in cases if len(case.raw) < 1 << 21):
        (tmp_path / f"{index}.bad").write_bytes(case.raw)
    shutil.copytree(folder, tmp_path / "bad")
    (tmp_path / "bad" / "modeling_llama.py").write_text("raise SystemExit('code of a folder was run')")
    result = subprocess.run([sys.executable, "-c", AUDIT, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert (result.stdout.strip(), result.stderr) == ("nothing", "")


def test_a_folder_with_odd_files_names_them(folder: Path, tmp_path: Path):
    for name, content, message in [
        ("config.json", "{", "config.json`: not valid JSON"),
        ("config.json", '{"model_type":"llama","model_type":"phi3"}', "duplicate key `model_type`"),
        ("config.json", "[1]", "JSON holds list"),
        ("generation_config.json", '{"eos_token_id":[999999]}', "`eos_token_id` holds `999999`"),
        ("generation_config.json", '{"eos_token_id":"x"}', "`eos_token_id` holds `x`"),
        ("tokenizer_config.json", '{"chat_template":7}', "`chat_template` is `7`"),
        ("tokenizer.json", "{}", "tokenizer.json"),
        ("tokenizer.json", "", "tokenizer.json"),
        ("model.safetensors.index.json", "{}", "`weight_map` is missing"),
    ]:
        target = tmp_path / "hf"
        shutil.copytree(folder, target)
        if "index" in name:
            (target / "model.safetensors").unlink()
        (target / name).write_text(content)
        with pytest.raises(UserError, match=message):
            import_model(target, tmp_path / "out.pocket")
        shutil.rmtree(target)
    with pytest.raises(UserError, match="is not a model folder"):
        open_folder(tmp_path)
