"""What the stages that train share: a model in, a finished checkpoint out, kills in between.

A stage trains in `NAME.work/` and publishes a Hugging Face folder with `metrics.jsonl` beside the weights. Weights are
stored in single precision: the next stage goes on from exactly these.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pocketphi import recipe
from pocketphi.artifact import Artifact, Progress, inputs_digest, open_artifact, publish
from pocketphi.model import Decoder, save_checkpoint
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.train import TURN_END
from pocketphi.train.batches import Source
from pocketphi.train.loop import Loss, Trained, train
from pocketphi.train.metrics import METRICS
from pocketphi.train.state import work_path

Prepared = tuple[Decoder, Source, Loss, int]
"""Model, steps to learn from, loss, and how many steps there are."""


def train_to_checkpoint(
    stage: str,
    table: recipe.Optimizer,
    settings: Mapping[str, Any],
    prepare: Callable[[Path, str], Prepared],
    out: Path,
    *,
    tokenizer_dir: Path,
    tokenizer: Tokenizer,
    parents: Sequence[Artifact],
    seed: int,
    summary: Callable[[Trained], Mapping[str, Any]],
    progress: Progress,
) -> Artifact:
    """Run one stage.

    Args:
        prepare: takes the work folder and the digest of the inputs.
        summary: what the stage adds to the manifest, asked for at the end.
    """
    work = work_path(out)
    with publish(out, kind="checkpoint", stage=stage, settings=settings, seed=seed, parents=parents) as draft:
        inputs = inputs_digest(stage, settings, seed, parents)
        work.mkdir(parents=True, exist_ok=True)
        model, source, loss, steps = prepare(work, inputs)
        board = out.parent / "tensorboard" / out.name
        trained = train(
            model, source, loss, table, steps=steps, work=work, inputs=inputs, board=board, progress=progress
        )
        stops = [tokenizer.special_ids[TURN_END]]
        save_checkpoint(model, draft.path, tokenizer_dir=tokenizer_dir, stop_token_ids=stops)
        shutil.copyfile(work / METRICS, draft.path / METRICS)
        draft.summary.update(
            steps=trained.steps,
            tokens=trained.tokens,
            parameters=sum(weight.numel() for weight in model.parameters()),
            last=dict(trained.last),
            **summary(trained),
        )
        draft.measured.update(trained.measured)
    shutil.rmtree(work)
    return open_artifact(out, "checkpoint")
