"""lm-evaluation-harness with our backends as its model: the one place that imports it."""

import logging

from pocketphi.config import quiet_harness, settings

quiet_harness(offline=settings().offline)
for name in ("lm_eval", "huggingface_hub", "datasets"):
    logging.getLogger(name).setLevel(logging.ERROR)  # they tell of their settings and tries
