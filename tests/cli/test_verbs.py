"""What the verbs do with a model on this machine."""

import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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
    assert pocketphi("show", "tiny")[0] == 2


def test_a_prompt_gets_an_answer_and_the_same_seed_the_same(pocketphi, stored):
    arguments = ["chat", stored, "--prompt", "hi", "--max-tokens", "8", "--temperature", "1", "--seed", "3"]
    code, out, err = pocketphi(*arguments)
    assert code == 0
    assert out.endswith("\n")
    memory, speed = err.splitlines()
    assert re.match(
        r"tiny: takes up to .* of memory \(.* weights, .* cache for 512 tokens, .* scratch, .* program; .* available\)",
        memory,
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
    assert re.search(r"error: .* of memory needed \(.* weights, .* scratch, .* program\), .* available", err)


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
        "server",
        "port",
        "page",
    ]
    (tmp_path / "cache" / "pocketphi" / "models" / "tiny.pocket").write_bytes(b"damaged")
    code, out, _ = pocketphi("doctor")
    assert code == 1
    assert "problem   models: `pocketphi rm tiny` removes what cannot be opened" in out
    findings = json.loads(pocketphi("doctor", "--json")[1])
    assert findings["models"]["problem"]
    assert findings["engine"]["problem"] is None
