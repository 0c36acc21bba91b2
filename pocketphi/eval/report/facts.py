"""Single facts that several sections tell."""

from pocketphi.eval.report.reading import TRAINING, Run, numbers


def last_checkpoint(run: Run) -> str | None:
    """The last training stage that is finished."""
    return next((name for name in reversed(TRAINING) if name in run.stages), None)


def parameters(run: Run) -> int | None:
    """How many numbers the model has learnt."""
    name = last_checkpoint(run)
    found = None if name is None else numbers(run.stages[name].summary).get("parameters")
    return None if found is None else int(found)


def packed_bytes(run: Run) -> int | None:
    """The size of the 4-bit file."""
    if "model" not in run.stages:
        return None
    files = run.stages["model"].manifest["files"]
    return sum(file["bytes"] for name, file in files.items() if name.endswith(".pocket")) or None


def raw_bytes(run: Run) -> int | None:
    """What the raw pages take, unpacked."""
    funnel = run.stages["corpus"].summary.get("funnel") if "corpus" in run.stages else None
    first = numbers(funnel[0]) if isinstance(funnel, list) and funnel else {}
    return int(first.get("kept_bytes", 0) + first.get("dropped_bytes", 0)) or None


def seconds_of(run: Run) -> dict[str, float]:
    """What each finished stage took, evaluations too, in the order of the run."""
    every = {artifact.path.name: artifact for artifact in run.parents}
    return {name: numbers(artifact.manifest.get("measured")).get("seconds", 0.0) for name, artifact in every.items()}


def pretraining_tokens(run: Run) -> float:
    """What was read in both phases."""
    return sum(
        numbers(run.stages[name].summary).get("tokens", 0.0) for name in ("phase1", "phase2") if name in run.stages
    )
