"""One measurement of OpenVINO GenAI: FOLDER THREADS PROMPT_TOKENS NEW_TOKENS DYNAMIC_GROUP; prints JSON.

Runs under a Python that has `openvino-genai`. Time to first token gives the prompt rate, time per output
token the decode rate.
"""

import json
import sys

import numpy as np
import openvino
import openvino_genai

folder, (threads, prompt_tokens, new_tokens, group) = sys.argv[1], map(int, sys.argv[2:6])
pipeline = openvino_genai.LLMPipeline(
    folder,
    "CPU",
    INFERENCE_NUM_THREADS=threads,
    DYNAMIC_QUANTIZATION_GROUP_SIZE=group,
    ATTENTION_BACKEND="SDPA",
)


def generate(prompt: int, answer: int):
    ids = np.random.default_rng(prompt).integers(300, 30000, (1, prompt)).astype(np.int64)
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = config.min_new_tokens = answer
    config.ignore_eos, config.do_sample = True, False
    inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
    return pipeline.generate(inputs, config).perf_metrics


generate(16, 4)
generate(prompt_tokens, 2)
print(
    json.dumps(
        {
            "prefill": prompt_tokens / (generate(prompt_tokens, 2).get_ttft().mean / 1000),
            "decode": 1000 / generate(8, new_tokens).get_tpot().mean,
        }
    )
)
