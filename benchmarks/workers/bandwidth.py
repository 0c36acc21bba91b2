"""Read bandwidth of this machine right now: THREADS; prints JSON."""

import json
import sys

from pocketphi.runtime.bench import measure_read_bandwidth

print(json.dumps({"bandwidth": measure_read_bandwidth(int(sys.argv[1]), num_bytes=1 << 30, seconds=0.5)}))
