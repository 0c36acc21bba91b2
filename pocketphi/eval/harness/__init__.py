"""lm-evaluation-harness with our backends as its model: the one place that imports it."""

import logging

from pocketphi.config import quiet_harness, settings

quiet_harness(offline=settings().offline)
logging.getLogger("lm_eval").setLevel(logging.ERROR)  # it tells of its settings
