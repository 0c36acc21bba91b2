"""Help, wrong usage, names, and how every failure ends."""

import errno
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pocketphi import __version__
from pocketphi.cli import main
from pocketphi.cli.report import run
from pocketphi.errors import UsageError, UserError

ROOT = Path(__file__).parents[2]
VERBS = ("chat", "pull", "import", "list", "show", "verify", "rm", "bench", "perplexity", "doctor")


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
        "pydantic",
        "torch",
        "daft",
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
        (["chat", "--prompt", " "], "error: the prompt is empty"),
        (["chat", "--sample", "--json"], "error: `--sample` and `--json` exclude each other"),
        (["chat", "--prompt", "x", "--sample"], "error: `--sample` and `--prompt` exclude each other"),
        (["pull", ""], "error: no model is called ``"),
    ],
)
def test_wrong_usage_exits_2_in_one_style(pocketphi, arguments, message):
    code, out, err = pocketphi(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(message)


def test_arguments_that_are_not_utf8_are_refused(shell):
    result = shell("pocketphi chat --prompt $'caf\\xe9'")
    assert result.returncode == 2
    assert b"it is not UTF-8" in result.stderr


@pytest.mark.parametrize("verb", [["chat", "--prompt", "x"], ["show"], ["verify"], ["bench"], ["rm"], ["pull"]])
def test_an_unknown_model_names_the_nearest(pocketphi, verb):
    code, out, err = pocketphi(*verb, "smolm2-135m")
    assert (code, out) == (2, "")
    assert err == "error: no model is called `smolm2-135m`\n\nhint: did you mean `smollm2-135m`?\n"


def test_perplexity_too_knows_no_such_model(pocketphi, tmp_path):
    (tmp_path / "text").write_text("hello")
    code, out, err = pocketphi("perplexity", "smolm2-135m", tmp_path / "text")
    assert (code, out) == (2, "")
    assert "did you mean `smollm2-135m`?" in err


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


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (UserError("wrong `x`", hint="use `y`"), 1, "error: wrong `x`\n\nhint: use `y`\n"),
        (UserError("wrong `x`"), 1, "error: wrong `x`\n"),
        (UsageError("wrong `x`"), 2, "error: wrong `x`\n"),
        (MemoryError(), 1, "error: out of memory\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "error: `/x`: no space left on device\n"),
        (OSError(errno.EMFILE, "Too many open files"), 1, "error: too many open files\n"),
        (KeyboardInterrupt(), 130, ""),
        (typer.Abort(), 130, ""),
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


def test_the_document_says_what_the_program_says():
    spec = importlib.util.spec_from_file_location("cli_docs", ROOT / "scripts" / "cli_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == module.page(), "run `make docs`"
