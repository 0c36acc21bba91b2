"""Runs the session with curl (curl.sh)."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from answers import events_of
from idle import seconds_until_idle

PATHS = {
    "models": "/models",
    "model": "/models/",
    "chat": "/chat/completions",
    "chat leave": "/chat/completions",
    "completion": "/completions",
    "embedding": "/embeddings",
    "response": "/responses",
}


def call(step: dict[str, Any], base: str, folder: Path) -> dict[str, Any]:
    kind, request = step["call"], {**step["request"], **step["extra"]}
    if kind not in PATHS:
        return {"absent": "curl parses nothing"}
    (folder / "request").write_text(json.dumps(request))
    url = base + PATHS[kind] + (request["model"] if kind == "model" else "")
    seconds = "0.5" if kind == "chat leave" else "60"
    method = "GET" if kind.startswith("model") else "POST"
    script = str(Path(__file__).with_name("curl.sh"))
    command = ["sh", script, method, url, step["key"], str(step["retries"]), seconds, str(folder)]
    status = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    body = (folder / "reply").read_text()
    if kind == "chat leave":
        assert body.count("data: ") > 3
        return {"idle": seconds_until_idle(base, step["key"])}
    if status != 200:
        return {"error": {"status": status, "body": json.loads(body)}}
    return {"events": events_of(body)} if request.get("stream") else {"reply": json.loads(body)}


given = json.load(sys.stdin)
with tempfile.TemporaryDirectory() as name:
    for step in given["steps"]:
        began = time.monotonic()
        result = call(step, given["servers"][step["server"]], Path(name))
        seconds = time.monotonic() - began
        print(json.dumps({"name": step["name"], "seconds": seconds, **result}), flush=True)
