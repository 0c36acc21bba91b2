"""One measurement of our engine in a fresh process: MODEL THREADS PROMPT_TOKENS NEW_TOKENS ISA; prints JSON."""

import json
import sys
from pathlib import Path

import pocketphi
from pocketphi.runtime.bench import bench

path, threads, prompt_tokens, new_tokens, isa = Path(sys.argv[1]), *map(int, sys.argv[2:5]), sys.argv[5]
with pocketphi.load(path, threads=threads, isa=None if isa == "auto" else isa, context=2048) as model:
    prompt = bench(model, prompt_tokens=prompt_tokens, new_tokens=1, repeats=1)
    answer = bench(model, prompt_tokens=1, new_tokens=new_tokens, repeats=1)
cache = (prompt_tokens + 1) * model.cache_bytes_per_position
print(
    json.dumps(
        {
            "prefill": prompt.prefill_tokens_per_second,
            "decode": answer.decode_tokens_per_second,
            "prefill_compute_share": prompt.prefill_compute_share,
            "decode_bandwidth_share": answer.decode_bandwidth_share,
            "int8_ops": prompt.int8_ops_per_second,
            "peak_memory_bytes": prompt.peak_memory_bytes,
            "memory_over_file_and_cache": (prompt.peak_memory_bytes or 0) - path.stat().st_size - cache,
            "isa": answer.isa,
        }
    )
)
