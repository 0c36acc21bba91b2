"""lm-evaluation-harness with our backends as its model: the one place that imports it."""

import logging
import os

# It tells of its settings and draws bars of its own; ours stand beside no others.
logging.getLogger("lm_eval").setLevel(logging.ERROR)
os.environ.setdefault("TQDM_DISABLE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
