"""How soon a server is idle after its client left, as its metrics tell."""

import re
import time
import urllib.request


def seconds_until_idle(base_url: str, key: str) -> float:
    """From now on; at most ten."""
    url = base_url.rstrip("/").removesuffix("/v1") + "/metrics"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})
    began = time.monotonic()
    while True:
        asked = time.monotonic() - began
        with urllib.request.urlopen(request, timeout=10) as reply:
            text = reply.read().decode()
        running = re.findall(r"^vllm:num_requests_running\{[^}]*\} (\S+)$", text, re.MULTILINE)
        if asked > 10 or (running and not any(float(each) for each in running)):
            return asked
        time.sleep(0.005)
