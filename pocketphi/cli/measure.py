"""Verbs that measure a model: `bench` and `perplexity`."""

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pocketphi.cli.loading import open_model
from pocketphi.cli.options import Json, Model, Threads, whole
from pocketphi.cli.progress import step_progress


def bench(
    model: Model,
    prompt_tokens: Annotated[
        int, typer.Option(parser=whole(1, 131_072), metavar="N", help="tokens read at once")
    ] = 512,
    new_tokens: Annotated[
        int, typer.Option(parser=whole(1, 131_072), metavar="N", help="tokens written after them")
    ] = 128,
    repeats: Annotated[int, typer.Option(parser=whole(1, 1000), metavar="N", help="runs; the medians are printed")] = 3,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure a model's speed, beside what memory and processor can do at most."""
    from pocketphi.hub.disk import human_size
    from pocketphi.runtime.bench import bench as run_bench

    with (
        open_model(model, threads=threads, context=prompt_tokens + new_tokens) as loaded,
        step_progress("measuring") as progress,
    ):
        result = run_bench(
            loaded, prompt_tokens=prompt_tokens, new_tokens=new_tokens, repeats=repeats, progress=progress
        )
    if json:
        print(json_format.dumps(result.as_dict()))
        return
    memory = "unknown" if result.peak_memory_bytes is None else human_size(result.peak_memory_bytes)
    print(
        f"prefill      {result.prefill_tokens_per_second:,.1f} tokens/s, "
        f"{result.prefill_compute_share:.0%} of {result.int8_ops_per_second / 1e12:.2f} int8 Top/s\n"
        f"decode       {result.decode_tokens_per_second:,.1f} tokens/s, "
        f"{result.decode_bandwidth_share:.0%} of {result.read_bandwidth_bytes_per_second / 1e9:.1f} GB/s\n"
        f"first token  {result.first_token_seconds:.3f} s after {result.prompt_tokens:,} tokens\n"
        f"peak memory  {memory}\n"
        f"run with     {result.threads} threads, {result.isa}"
    )


def perplexity(
    model: Model,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a text in UTF-8")],
    context: Annotated[int, typer.Option(parser=whole(4, 131_072), metavar="N", help="tokens in a chunk")] = 512,
    chunks: Annotated[
        int | None, typer.Option(parser=whole(1, 10**9), metavar="N", help="measure so many chunks only; default: all")
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Measure how well a model predicts a text: lower is better.

    Counted as llama.cpp does it: the second half of every chunk is scored.
    """
    from pocketphi.cli.files import read_text
    from pocketphi.eval.perplexity import perplexity as measure

    text = read_text(file)
    with (
        open_model(model, threads=threads, context=context) as loaded,
        step_progress("measuring") as progress,
    ):
        result = measure(
            loaded,
            text,
            context=context,
            max_chunks=chunks,
            progress=lambda done, total, _so_far: progress(done, total),
        )
    if json:
        print(json_format.dumps(asdict(result)))
        return
    print(
        f"perplexity {result.perplexity:.4f} ± {result.standard_error:.4f} "
        f"({result.num_scored:,} tokens scored in {result.num_chunks:,} chunks of {result.context:,})"
    )
