"""The verb that prices a recipe before it runs: `plan`."""

import json as json_format
from dataclasses import asdict
from typing import TYPE_CHECKING

from pocketphi.cli.make import RecipeFile, Set
from pocketphi.cli.options import Json

if TYPE_CHECKING:
    from pocketphi.train.plan import Plan


def plan(recipe: RecipeFile, set_: Set = None, json: Json = False) -> None:
    """Say what pretraining by a recipe costs: arithmetic, memory of each GPU, days and money.

    `--set cluster.num_gpus=64` asks for another machine. Beside the plan stands what published runs of this family
    reached, to judge `cluster.utilization` by.
    """
    from pocketphi.recipe import load_recipe
    from pocketphi.train.plan import make_plan

    result = make_plan(load_recipe(recipe, set_ or ()))
    if json:
        cluster = None if result.cluster is None else result.cluster.model_dump(mode="json")
        derived = {name: getattr(result, name) for name in ("tokens", "flops", "flops_of_square", "days", "dollars")}
        print(json_format.dumps({**asdict(result), "cluster": cluster, **derived}))
    else:
        print(_table(result))


def _table(plan: "Plan") -> str:
    from pocketphi.hub.disk import human_size

    memory = plan.memory
    lines = [
        ("recipe", plan.name),
        ("parameters", f"{plan.parameters:,}"),
        ("on disk", f"{human_size(plan.checkpoint_bytes)} in 16 bits, {human_size(plan.pocket_bytes)} in 4 bits"),
        ("tokens", f"{_short(plan.tokens)}, {human_size(plan.shard_bytes)} as shards"),
        ("arithmetic", f"{plan.flops:.3e} FLOPs ({plan.flops_of_square:.3e} with attention unmasked)"),
    ]
    for phase in plan.phases:
        days = "" if phase.days is None else f", {phase.days:.2f} days"
        share = phase.flops.attention / phase.flops.total
        text = f"{_short(phase.tokens)} tokens in {phase.steps:,} steps of {_short(phase.tokens_per_step)}, "
        text += f"{phase.flops.total:.3e} FLOPs ({share:.0%} attention){days}"
        lines.append((f"  {phase.name}", text))
    states = f"gradients {human_size(memory.gradients)}, optimizer {human_size(memory.optimizer)}"
    lines += [
        ("memory", "of each GPU, estimated"),
        ("  sharded", f"weights {human_size(memory.weights)}, {states}"),
        ("  gathered", human_size(memory.gathered)),
        (
            "  activations",
            f"{human_size(memory.activations)}, or {human_size(memory.activations_recomputed)} if they are recomputed",
        ),
        ("  in all", f"{human_size(memory.most)}, or {human_size(memory.least)}"),
    ]
    cluster = plan.cluster
    if cluster is not None and plan.days is not None and plan.dollars is not None:
        advice = {True: "it fits if activations are recomputed", False: "it fits", None: "it does not fit"}
        lines += [
            ("  of", f"{human_size(cluster.gpu_memory_bytes)}: {advice[plan.recompute]}"),
            *_ways_to_fit(plan),
            ("machine", f"{cluster.num_gpus:,} {cluster.gpu} at {cluster.utilization:.0%} of their peak"),
            ("time", f"{plan.days:,.2f} days"),
            ("cost", f"${plan.dollars:,.0f} at ${cluster.dollars_per_gpu_hour:.2f} an hour and GPU"),
        ]
    else:
        lines.append(("machine", "the recipe has no table `cluster`, so no days and no cost"))
    lines.append(("published", "the part of the peak that these runs must have reached"))
    for run in plan.published:
        text = f"{run.name}: {_short(run.tokens)} tokens, {run.flops:.2e} FLOPs, {run.days:g} days"
        lines.append((f"  {run.utilization:.1%}", f"{text} on {run.num_gpus} H100"))
    return "\n".join(f"{label:<14}{text}" for label, text in lines)


def _ways_to_fit(plan: "Plan") -> list[tuple[str, str]]:
    """What would make a plan fit that does not."""
    if plan.fits:
        return []
    if not plan.accumulate:
        return [("", "no `accumulate` is enough: more GPUs hold less each")]
    keys = " ".join(f"--set pretrain.{name}.accumulate={count}" for name, count in plan.accumulate.items())
    return [("", "it would if a step read its sequences in turns:"), ("", keys)]


def _short(count: float) -> str:
    """`3.30T`, `4.19M`, `512`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.2f}{unit}"
    return f"{count:g}"
