"""Single facts that several sections tell."""

from pocketphi.eval.report.reading import TRAINING, Run, mapping, numbers


def last_checkpoint(run: Run) -> str | None:
    """The last training stage that is finished."""
    return next((name for name in reversed(TRAINING) if name in run.stages), None)


def parameters(run: Run) -> int | None:
    """How many numbers the model has learnt."""
    name = last_checkpoint(run)
    found = None if name is None else numbers(run.stages[name].summary).get("parameters")
    return None if found is None else int(found)


def packed_bytes(run: Run) -> int | None:
    """The size of the file to chat with."""
    if "model" not in run.stages:
        return None
    files = run.stages["model"].manifest["files"]
    return sum(file["bytes"] for name, file in files.items() if name.endswith(".pocket")) or None


def packed_bits(run: Run) -> str | None:
    """What the file is called after: `4` or `8` where all matrices of its layers have so many bits, else the mean bits
    of a weight, such as `6.3`; None if the run does not say. Embedding and head are no layers."""
    if "model" not in run.stages:
        return None
    summary = run.stages["model"].summary
    found = numbers(summary)
    formats = numbers(summary.get("matrices_by_format"))
    names = {"embedding_bits"} | ({"head_bits"} if "lm_head" in mapping(summary.get("divergence_at_4_bits")) else set())
    wide = sum(number for name, number in formats.items() if name.startswith("q8"))
    if formats and wide == sum(formats.values()):
        return "8"
    if formats and wide <= sum(found.get(name) == 8 for name in names):
        return "4"
    return f"{found['bits_per_weight']:.1f}" if "bits_per_weight" in found else None


def packed_name(run: Run) -> str:
    """The file in a word: `4-bit`."""
    bits = packed_bits(run)
    return "rounded" if bits is None else f"{bits}-bit"


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
