"""The command line as a shell sees it: output, exit codes, messages, streams."""

import errno
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketphi import __version__
from pocketphi.cli import main
from pocketphi.cli.report import run
from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile

ROOT = Path(__file__).parents[1]
VERBS = ("chat", "pull", "import", "list", "show", "verify", "rm", "bench", "perplexity", "doctor")


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the network or the folders of whoever runs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("POCKETPHI_OFFLINE", "1")
    monkeypatch.delenv("POCKETPHI_DATA", raising=False)


@pytest.fixture
def pocketphi(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(end.value.code or 0), out, err

    return call


def shell(command: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run a bash command line in which `pocketphi` is ours."""
    line = f'pocketphi() {{ "{sys.executable}" -m pocketphi "$@"; }}; {command}'
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


# --- help and usage ---------------------------------------------------------------------------------------


def test_help_names_every_verb_and_version_is_one_line(pocketphi):
    for arguments in ([], ["--help"]):
        code, out, err = pocketphi(*arguments)
        assert (code, err) == (0, "")
        for verb in VERBS:
            assert re.search(rf"^  {verb} ", out, re.MULTILINE)
    assert pocketphi("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(pocketphi, verb):
    code, out, _ = pocketphi(verb, "--help")
    assert code == 0
    for line in re.findall(r"^  (?:-\w, )?--.*$", out, re.MULTILINE):
        assert re.search(r"\S  +\S", line.strip()), f"`{line.strip()}` lacks a word of help"


def test_help_imports_nothing_heavy():
    heavy = [
        "numpy",
        "prompt_toolkit",
        "rich",
        "tokenizers",
        "ctypes",
        "pocketphi.runtime",
        "pocketphi.hub",
        "http.client",
    ]
    code = f"""
import sys
from pocketphi.cli import main
try:
    main(["--help"])
except SystemExit:
    print(*(set({heavy}) & set(sys.modules)), file=sys.stderr)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.stderr.strip() == ""


@pytest.mark.parametrize("option", ["--threads", "--context", "--max-tokens", "--top-k", "--seed"])
@pytest.mark.parametrize("value", ["-1", "nan", "1e9", "", "9" * 5000, "1000000000000000000000"])
def test_a_number_out_of_range_is_usage_and_names_the_range(pocketphi, option, value):
    code, out, err = pocketphi("chat", "--prompt", "x", option, value)
    assert (code, out) == (2, "")
    assert re.fullmatch(
        rf"error: invalid value for `{option}`: `[^`]{{0,40}}` is not a whole number from \d+ to [\d,]+\n\nhint: .*\n",
        err,
    )


@pytest.mark.parametrize("value", ["0", "257", "1000000000"])
def test_threads_are_1_to_256(pocketphi, value):
    code, _, err = pocketphi("chat", "--prompt", "x", "--threads", value)
    assert code == 2
    assert "from 1 to 256" in err


@pytest.mark.parametrize(
    "option", ["--temperature", "--top-p", "--min-p", "--repetition-penalty", "--presence-penalty"]
)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-101", "x", "1e999"])
def test_a_real_number_out_of_range_is_usage(pocketphi, option, value):
    code, _, err = pocketphi("chat", "--prompt", "x", option, value)
    assert code == 2
    assert f"error: invalid value for `{option}`: `{value}` is not a number from " in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cht"], "error: no such command `cht`. Did you mean `chat`?"),
        (["chat", "--thread", "2"], "error: no such option: --thread"),
        (["chat", "a", "b"], "error: got unexpected extra argument"),
        (["chat", "--prompt"], "error: option `--prompt` requires an argument"),
        (["pull"], "error: missing argument `NAME`"),
        (["pull", "x", "--bits", "5"], "error: invalid value for `--bits`: `5` is not one of 4, 8, 16"),
        (["import", "x"], "error: missing option"),
    ],
)
def test_wrong_usage_exits_2_in_one_style(pocketphi, arguments, message):
    code, out, err = pocketphi(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(message)


def test_arguments_that_are_not_utf8_are_refused():
    result = shell("pocketphi chat --prompt $'caf\\xe9'")
    assert result.returncode == 2
    assert b"it is not UTF-8" in result.stderr


# --- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [["chat", "--prompt", "x"], ["show"], ["verify"], ["bench"], ["rm"]])
def test_an_unknown_model_names_the_nearest(pocketphi, verb):
    code, out, err = pocketphi(*verb, "smolm2-135m")
    assert (code, out) == (1, "")
    assert err == "error: no model is called `smolm2-135m`\n\nhint: did you mean `smollm2-135m`?\n"


def test_offline_says_so(pocketphi):
    code, out, err = pocketphi("pull", "phi-3-mini-4k")
    assert (code, out) == (1, "")
    assert "POCKETPHI_OFFLINE" in err


def test_a_large_model_is_not_pulled_unasked(pocketphi):
    code, _, err = pocketphi("chat", "phi-3-mini-4k", "--prompt", "x")
    assert code == 1
    assert (
        err == "error: model `phi-3-mini-4k` is not on this machine yet\n\nhint: run `pocketphi pull phi-3-mini-4k`\n"
    )


def test_an_empty_list_says_what_to_do(pocketphi):
    code, out, err = pocketphi("list")
    assert (code, out) == (0, "")
    assert "pocketphi pull" in err
    code, out, _ = pocketphi("list", "--all")
    assert [line.split()[0] for line in out.splitlines()][:2] == ["smollm2-135m", "phi-3-mini-4k"]


# --- a model on this machine ------------------------------------------------------------------------------


@pytest.fixture
def stored(tiny_file: PocketFile, tmp_path: Path) -> str:
    """A tiny model in the store; its name."""
    folder = tmp_path / "cache" / "pocketphi" / "models"
    folder.mkdir(parents=True)
    (folder / "tiny.pocket").write_bytes(tiny_file.path.read_bytes())
    return "tiny"


def test_models_are_listed_shown_verified_and_removed(pocketphi, stored, tmp_path):
    path = tmp_path / "cache" / "pocketphi" / "models" / "tiny.pocket"
    code, out, _ = pocketphi("list")
    assert code == 0
    assert out.startswith("tiny ")
    listed = json.loads(pocketphi("list", "--json")[1])
    assert [(model["name"], model["path"]) for model in listed] == [("tiny", str(path))]
    shown = json.loads(pocketphi("show", "tiny", "--json")[1])
    assert shown["config"]["hidden_size"] == 72
    assert "config.hidden_size  72\n" in pocketphi("show", "tiny")[1]
    assert pocketphi("verify", "tiny")[:2] == (0, f"{path}\n")

    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    code, out, err = pocketphi("verify", "tiny")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")

    code, out, err = pocketphi("rm", "tiny")
    assert (code, out) == (0, "")
    assert err.endswith("freed\n")
    assert pocketphi("show", "tiny")[0] == 1


def test_a_prompt_gets_an_answer_and_the_same_seed_the_same(pocketphi, stored):
    arguments = ["chat", stored, "--prompt", "hi", "--max-tokens", "8", "--temperature", "1", "--seed", "3"]
    code, out, err = pocketphi(*arguments)
    assert code == 0
    assert out.endswith("\n")
    memory, speed = err.splitlines()
    assert re.match(
        r"tiny: takes up to .* of memory \(.* weights, .* cache for 512 tokens, .* scratch; .* available\)", memory
    )
    assert re.match(r"\(8 tokens at [\d.]+ tokens/s, the first after [\d.]+ s, cut by `--max-tokens`\)", speed)
    assert pocketphi(*arguments)[1] == out


def test_json_is_one_object_with_stable_keys(pocketphi, stored):
    code, out, _ = pocketphi("chat", stored, "--prompt", "hi", "--max-tokens", "8", "--seed", "5", "--json")
    assert code == 0
    answer = json.loads(out)
    assert {key: type(value) for key, value in answer.items()} == {
        "model": str,
        "text": str,
        "finish_reason": str,
        "prompt_tokens": int,
        "tokens": int,
        "tokens_per_second": float,
        "first_token_seconds": float,
        "seed": int,
    }
    assert (answer["model"], answer["tokens"], answer["finish_reason"], answer["seed"]) == ("tiny", 8, "length", 5)


def test_the_samples_print_two_answers_and_their_speed(pocketphi, stored):
    code, out, _ = pocketphi("chat", stored, "--sample", "--max-tokens", "4")
    assert code == 0
    assert len(re.findall(r"^> ", out, re.MULTILINE)) == 2
    assert len(re.findall(r"^\(\d+ tokens at [\d.]+ tokens/s", out, re.MULTILINE)) == 2


def test_a_prompt_beyond_the_context_is_an_error_with_counts(pocketphi, stored):
    code, out, err = pocketphi("chat", stored, "--prompt", "a b " * 1000)
    assert (code, out) == (1, "")
    assert re.search(r"error: the conversation takes `\d{4}` tokens, the context holds `512`", err)


def test_more_memory_than_there_is_is_refused_with_numbers(pocketphi, stored, monkeypatch):
    monkeypatch.setattr("pocketphi.runtime.machine.available_memory", lambda: 100_000)
    code, out, err = pocketphi("chat", stored, "--prompt", "hi")
    assert (code, out) == (1, "")
    assert re.search(r"error: .* of memory needed \(.* weights, .* scratch\), .* available", err)


def test_an_unknown_template_is_an_error_that_lists_them(pocketphi, stored):
    code, _, err = pocketphi("chat", stored, "--prompt", "hi", "--template", "chatm")
    assert code == 1
    assert "chat template `chatm` is unknown" in err
    assert "chatml" in err


def test_bench_and_perplexity_print_for_people_and_for_programs(pocketphi, stored, tmp_path):
    figures = json.loads(
        pocketphi("bench", stored, "--prompt-tokens", "16", "--new-tokens", "4", "--repeats", "1", "--json")[1]
    )
    assert {
        "prefill_tokens_per_second",
        "decode_tokens_per_second",
        "first_token_seconds",
        "peak_memory_bytes",
        "read_bandwidth_bytes_per_second",
        "int8_ops_per_second",
        "decode_bandwidth_share",
        "prefill_compute_share",
    } <= set(figures)
    text = tmp_path / "text.txt"
    text.write_text("the thing is in the tin " * 40, encoding="utf-8")
    code, out, _ = pocketphi("perplexity", stored, text, "--context", "64")
    assert code == 0
    assert re.match(r"perplexity [\d.]+ ± [\d.]+ \(", out)
    assert json.loads(pocketphi("perplexity", stored, text, "--context", "64", "--json")[1])["context"] == 64


@pytest.mark.parametrize(
    ("content", "message"), [(b"caf\xe9", "is not UTF-8: byte `0xe9` at 3"), (b"short", "one chunk takes `512`")]
)
def test_perplexity_refuses_what_it_cannot_measure(pocketphi, stored, tmp_path, content, message):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    code, out, err = pocketphi("perplexity", stored, path)
    assert (code, out) == (1, "")
    assert message in err
    for other in (tmp_path, tmp_path / "missing", Path(os.devnull)):
        code, _, err = pocketphi("perplexity", stored, other)
        assert code == 1
        assert err.startswith(f"error: `{other}` ")


def test_doctor_says_what_is_there_and_exits_1_when_something_is_missing(pocketphi, stored, tmp_path):
    code, out, err = pocketphi("doctor")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [
        "pocketphi",
        "engine",
        "memory",
        "folder",
        "models",
        "network",
    ]
    (tmp_path / "cache" / "pocketphi" / "models" / "tiny.pocket").write_bytes(b"damaged")
    code, out, _ = pocketphi("doctor")
    assert code == 1
    assert "problem   models: `pocketphi rm tiny` removes what cannot be opened" in out
    findings = json.loads(pocketphi("doctor", "--json")[1])
    assert findings["models"]["problem"]
    assert findings["engine"]["problem"] is None


# --- streams ----------------------------------------------------------------------------------------------


def test_a_piped_prompt_is_answered(stored):
    result = shell(f"printf 'hello\\n' | pocketphi chat {stored} --max-tokens 4 --json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["tokens"] == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the prompt on standard input is empty"),
        (b" \n\t\n", "the prompt on standard input is empty"),
        (b"caf\xe9", "is not UTF-8: byte `0xe9` at 3"),
        (b"\xed\xa0\x80", "is not UTF-8: byte `0xed` at 0"),
    ],
)
def test_a_piped_prompt_that_is_no_text_is_an_error(data, message):
    result = shell("pocketphi chat", input=data)
    assert result.returncode == 1
    assert message.encode() in result.stderr


@pytest.mark.parametrize(
    "data",
    [b"\0", b"\0 \x1b[2J \x7f", "\u202eabc\u200b".encode(), ("e" + "\u0301" * 10_000).encode(), b"a" * (1 << 20)],
)
def test_odd_prompts_are_answered_or_counted(stored, data):
    result = shell(f"pocketphi chat {stored} --max-tokens 2", input=data)
    assert b"Traceback" not in result.stderr
    if result.returncode:
        assert result.returncode == 1
        assert b"the context holds `512`" in result.stderr


def test_a_prompt_of_100_mib_is_refused_at_once():
    start = time.monotonic()
    result = shell("head -c 104857600 /dev/zero | tr '\\0' a | pocketphi chat")
    assert result.returncode == 1
    assert b"has more than 16 MiB" in result.stderr
    assert time.monotonic() - start < 10


def test_a_reader_that_leaves_is_no_error(stored):
    result = shell(f"set -o pipefail; pocketphi chat {stored} --prompt hi --max-tokens 400 | head -c 1")
    assert result.returncode == 0, result.stderr
    assert b"Traceback" not in result.stderr
    assert b"BrokenPipe" not in result.stderr
    assert shell("set -o pipefail; pocketphi --help | true").returncode == 0


def test_closed_streams_are_no_error(stored):
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 <&- ").returncode == 0
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 >&- ").returncode == 0
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 2>&- ").returncode == 0
    assert shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 <&- >&- 2>&- ").returncode == 0
    assert shell("pocketphi chat <&-").returncode == 1


def test_a_full_disk_is_an_error_without_a_traceback(stored):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    result = shell(f"pocketphi chat {stored} --prompt hi --max-tokens 2 >/dev/full")
    assert result.returncode == 1
    assert b"error: no space left on device" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_terminal_without_unicode_still_shows_everything(stored):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    result = shell(f"pocketphi chat {stored} --prompt hi --max-tokens 60 --temperature 2", env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()


# --- failures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (UserError("wrong `x`", hint="use `y`"), 1, "error: wrong `x`\n\nhint: use `y`\n"),
        (UserError("wrong `x`"), 1, "error: wrong `x`\n"),
        (MemoryError(), 1, "error: out of memory\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "error: `/x`: no space left on device\n"),
        (OSError(errno.EMFILE, "Too many open files"), 1, "error: too many open files\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            ZeroDivisionError("division by zero"),
            1,
            "error: this is a bug in pocketphi: ZeroDivisionError: division by zero\n",
        ),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_every_end_has_its_exit_code_and_at_most_one_message(capfd, raised, code, message):
    def command() -> int:
        raise raised

    assert run(command, shows_traceback=False) == code
    err = capfd.readouterr().err
    assert err.startswith(message)
    assert bool(err) == bool(message)
    assert "Traceback" not in err


def test_debug_shows_the_traceback(capsys):
    with pytest.raises(SystemExit):
        main(["--debug", "show", "no-such-model"])
    err = capsys.readouterr().err
    assert err.startswith("error: no model is called `no-such-model`")
    assert "Traceback" in err


# --- documents --------------------------------------------------------------------------------------------


def test_the_document_says_what_the_program_says():
    spec = importlib.util.spec_from_file_location("cli_docs", ROOT / "scripts" / "cli_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == module.page(), "run `make docs`"
