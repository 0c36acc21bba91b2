"""Servers to measure, each started, awaited and stopped as a process of its own."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from workers.http_load import get

READY_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers on this machine."""

    name: str
    port: int
    pid: int

    def resident_bytes(self) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


def ours(model: Path, *, threads: int, parallel: int, context: int, queue: int = 64) -> list[str]:
    """The command that serves `model` with pocketphi; the port follows."""
    options = {"--threads": threads, "--parallel": parallel, "--context": context, "--queue": queue}
    return [
        *(sys.executable, "-m", "pocketphi", "serve", str(model)),
        *(word for name, value in options.items() for word in (name, str(value))),
        "--port",
    ]


def llama_server(program: Path, gguf: Path, *, threads: int, parallel: int, context: int) -> list[str]:
    """The command that serves `gguf` with llama-server: as many slots, each with as much context."""
    options = {"-t": threads, "-tb": threads, "-np": parallel, "-c": context * parallel}
    return [
        *(str(program), "-m", str(gguf)),
        *(word for name, value in options.items() for word in (name, str(value))),
        *("--host", "127.0.0.1", "--port"),
    ]


@contextmanager
def running(name: str, command: list[str], log: Path) -> Iterator[Server]:
    """Start a server on a free port, wait until it is ready, and stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("ab") as out, subprocess.Popen([*command, str(port)], stdout=out, stderr=out) as process:
        try:
            _await_ready(process, port, log)
            yield Server(name=name, port=port, pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if asyncio.run(get(port, "/health"))[0] == 200:
                return
        except (OSError, EOFError):
            time.sleep(0.1)
    raise SystemExit(f"the server did not get ready; its log ends:\n{log.read_text(errors='replace')[-2000:]}")
