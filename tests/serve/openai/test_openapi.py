"""What OpenAPI says of the server is so: every route and field described, and schemathesis finds nothing."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from serve.openai.conftest import Served

CONFIG = """
# A request may have the right form and not be possible: a token that the model does not have, a regular expression
# that is none, a tool that is chosen and not there. OpenAI answers 400 to those, and so do we.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "404", "429"]
"""


def test_every_route_is_described_with_its_refusals(server: Served) -> None:
    document = httpx.get(f"{server.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert "422" not in operation["responses"]
            assert ("requestBody" in operation) == (method == "post")
            if method == "post":
                assert {"400", "404", "413", "415", "500"} <= set(operation["responses"]), path
            for status, reply in operation["responses"].items():
                if status != "200":
                    assert reply["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorReply")
    text = str(document)
    names = {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])


def schemathesis(server: Served, folder: Path, *arguments: str) -> None:
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config)]
    command += ["run", f"{server.url}/openapi.json", "--checks", "all", "--suppress-health-check", "all", *arguments]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-8_000:]


def test_schemathesis_finds_nothing_at_a_glance(server: Served, tmp_path: Path) -> None:
    schemathesis(server, tmp_path, "--phases", "fuzzing", "--max-examples", "8", "--seed", "1")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_schemathesis_finds_nothing(server: Served, tmp_path: Path) -> None:
    schemathesis(server, tmp_path, "--max-examples", "100")
