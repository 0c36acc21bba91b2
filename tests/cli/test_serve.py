"""The verb as people start it: what it prints, whom it lets in, and how it ends."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pocketphi.formats.pocket import PocketFile
from tiny import tiny_config, write_tiny

PATIENCE_SECONDS = 20.0


@contextmanager
def serving(state: Path, *arguments: str | Path, environ: dict[str, str] | None = None) -> Iterator[Any]:
    """`pocketphi serve` on a free port; `.urls` are the lines it prints."""
    command = [sys.executable, "-m", "pocketphi", "serve", *map(str, arguments), "--port", "0"]
    env = {**os.environ, "XDG_STATE_HOME": str(state), **(environ or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        process.urls = [process.stdout.readline().strip()]  # type: ignore[attr-defined]
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE_SECONDS)


def ask(url: str, body: dict[str, Any] | None = None, *, key: str = "", tls: ssl.SSLContext | None = None) -> Any:
    """A GET, or a POST of JSON."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, headers)
    with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS, context=tls) as answer:
        return json.loads(answer.read())


def test_it_says_where_it_is_and_what_bounds_it_and_stops_when_asked(tiny_file: PocketFile, tmp_path: Path):
    with serving(tmp_path, tiny_file.path, "--parallel", "3") as process:
        (url,) = process.urls
        assert re.fullmatch(r"http://localhost:\d+", url)
        assert ask(f"{url}/health") == {"status": "ok"}
        assert ask(f"{url}/v1/models")["data"][0]["id"] == tiny_file.path.stem
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}
        assert ask(f"{url}/v1/chat/completions", body)["usage"]["completion_tokens"] >= 1
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert out == ""
    assert "bounded by" in said
    assert "of 3 answers at once" in said
    assert said.endswith("stopped\n")
    port = int(url.rsplit(":", 1)[1])
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_a_network_gets_https_a_token_and_an_authority(tiny_file: PocketFile, tmp_path: Path):
    with serving(tmp_path, tiny_file.path, "--host", "0.0.0.0", "--host-name", "cosy.test") as process:
        (url,) = process.urls
        found = re.fullmatch(r"https://cosy\.test:(\d+)/#token=([\w-]{27})", url)
        assert found is not None, url
        base, token = f"https://127.0.0.1:{found[1]}", found[2]
        folder = tmp_path / "pocketphi" / "serve"
        tls = ssl.create_default_context(cafile=str(folder / "authority.crt"))
        assert ask(f"{base}/health", tls=tls) == {"status": "ok"}
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{base}/v1/models", tls=tls)
        assert ask(f"{base}/v1/models", key=token, tls=tls)["data"]
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            ask(f"http://127.0.0.1:{found[1]}/health")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert token not in said
    with serving(tmp_path, tiny_file.path, "--host", "0.0.0.0", "--host-name", "cosy.test") as process:
        assert process.urls[0].endswith(token), "the phone that has the link gets in after a restart"
    with serving(tmp_path, tiny_file.path, "--host", "0.0.0.0", "--host-name", "cosy.test", "--new-token") as process:
        assert not process.urls[0].endswith(token)


def test_keys_come_from_a_file_or_the_environment_and_are_not_shown(tiny_file: PocketFile, tmp_path: Path):
    keys = tmp_path / "keys"
    keys.write_text("first-key-of-a-file\n")
    keys.chmod(0o600)
    environ = {"POCKETPHI_SERVE_KEYS": "second-key-of-the-environment"}
    with serving(tmp_path, tiny_file.path, "--api-key-file", keys, environ=environ) as process:
        (url,) = process.urls
        for key in ("first-key-of-a-file", "second-key-of-the-environment"):
            assert ask(f"{url}/v1/models", key=key)["data"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(f"{url}/v1/models")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert "-key-of-" not in said + url


def test_several_models_are_chosen_by_name(tmp_path: Path):
    files = [write_tiny(tmp_path / f"{name}.pocket", seed=seed).path for seed, name in enumerate(("first", "second"))]
    with serving(tmp_path, *files) as process:
        (url,) = process.urls
        assert [each["id"] for each in ask(f"{url}/v1/models")["data"]] == ["first", "second"]
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, "temperature": 0}
        answers = [ask(f"{url}/v1/chat/completions", {**body, "model": name}) for name in ("first", "second")]
        assert [each["model"] for each in answers] == ["first", "second"]
        assert answers[0]["choices"] != answers[1]["choices"]


def test_a_taken_port_is_named(tiny_file: PocketFile, tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "pocketphi", "serve", str(tiny_file.path), "--port", str(port)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert result.returncode == 1
    assert f"port `{port}`" in result.stderr
    assert "--port 0" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A model whose answers last longer than a test."""
    config = tiny_config(max_position_embeddings=131_072, original_max_position_embeddings=131_072)
    return write_tiny(tmp_path / "endless.pocket", config).path


def test_answers_under_way_are_told_when_the_server_ends(endless: Path, tmp_path: Path):
    with serving(tmp_path, endless) as process:
        host, port = "127.0.0.1", int(process.urls[0].rsplit(":", 1)[1])
        body = json.dumps({"messages": [{"role": "user", "content": "x"}], "stream": True, "ignore_eos": True}).encode()
        with socket.create_connection((host, port), PATIENCE_SECONDS) as client:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = client.recv(4096)
            process.send_signal(signal.SIGTERM)
            begin = time.monotonic()
            while part := client.recv(1 << 20):
                answer = answer[-4096:] + part
            seconds = time.monotonic() - begin
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert 8 < seconds < 14, "running answers get ten seconds"
    assert b'"shutting_down"' in answer
    assert b"[DONE]" not in answer
    assert "1 answers were cut short" in said


def test_a_second_signal_ends_it_at_once(endless: Path, tmp_path: Path):
    with serving(tmp_path, endless) as process:
        port = int(process.urls[0].rsplit(":", 1)[1])
        body = json.dumps({"messages": [{"role": "user", "content": "x"}], "stream": True, "ignore_eos": True}).encode()
        with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as client:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            client.recv(4096)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(3) == 130
