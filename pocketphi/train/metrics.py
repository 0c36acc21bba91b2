"""Figures of a run: one JSON object a line, the same bytes for the same run.

A line holds `step`, `tokens` (learnt from so far), `loss`, `learning_rate`, `grad_norm` and what the stage adds.
Times are not among them, so reruns compare with `cmp`; seconds and rates are in the manifest's `measured`.

Figures stay on the device until some steps are together: reading one back would make the processor wait for
the accelerator in every step.
"""

import importlib.util
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from pocketphi.errors import UserError

METRICS = "metrics.jsonl"
FLUSH_STEPS = 10


class Recorder:
    """Writes `metrics.jsonl`, and TensorBoard's files if it is installed.

    Args:
        path: the JSONL file.
        keep_bytes: how much of it a resumed run keeps; what was written after its state is written again.
        board: folder for TensorBoard, which wants its own files.
    """

    def __init__(self, path: Path, *, keep_bytes: int = 0, board: Path | None = None) -> None:
        self._file = path.open("ab")
        self._file.truncate(keep_bytes)
        self._pending: list[tuple[dict[str, Any], dict[str, Tensor]]] = []
        self._board: Any = None
        if board is not None and importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(board))
        self.last: dict[str, float] = {}
        """The newest line that was written."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        self._file.close()
        if self._board is not None:
            self._board.close()

    @property
    def size(self) -> int:
        """Bytes so far, on the disk for sure."""
        self.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def add(self, known: Mapping[str, float], figures: Mapping[str, Tensor]) -> bool:
        """Take one step's figures.

        Args:
            known: numbers, `step` first.
            figures: scalars that may still be on their way.

        Returns:
            Whether lines were written, so `last` is new.

        Raises:
            UserError: a loss or a gradient is not finite.
        """
        self._pending.append((dict(known), {name: figure.detach() for name, figure in figures.items()}))
        if len(self._pending) < FLUSH_STEPS:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Write what is pending."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        values = torch.stack([figure.float() for _, figures in pending for figure in figures.values()]).tolist()
        read = iter(values)
        for known, figures in pending:
            line = {**known, **{name: next(read) for name in figures}}
            for name in figures:
                if not math.isfinite(line[name]):
                    raise UserError(
                        f"training diverged: `{name}` is {line[name]} at step {line['step']}",
                        hint="lower `learning_rate`, or lengthen `warmup_steps`",
                    )
            self._file.write(json.dumps(line).encode() + b"\n")
            self.last = line
            if self._board is not None:
                for name, value in line.items():
                    self._board.add_scalar(name, value, line["step"])
        self._file.flush()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a run, in order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
