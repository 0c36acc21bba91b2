"""Daft, the data engine, behind the three things that curation needs: do every job, count, read in order.

On one machine Daft's native runner spreads jobs over processes; with `runner = "ray"` the same code runs on the Ray
cluster of the environment, where folders must be shared. Daft's order of rows is not fixed: callers sort.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pocketphi.config import quiet_daft
from pocketphi.errors import UserError

quiet_daft()

import daft  # noqa: E402 - after it was told
from daft import DataType, col  # noqa: E402

Runner = Literal["native", "ray"]


def use_runner(runner: Runner) -> None:
    """Choose where jobs run; the first choice of a process holds.

    Raises:
        UserError: Ray is not installed, or Daft runs on the other one already.
    """
    current = daft.get_or_infer_runner_type()
    if current == runner:
        return
    try:
        daft.set_runner_ray() if runner == "ray" else daft.set_runner_native()
    except Exception as error:  # Daft raises bare exceptions of several kinds here
        raise UserError(f"cannot run on `{runner}`: {error}", hint="install `ray`, or start a new process") from error


def do_jobs(job: Callable[[int], int], num_jobs: int, num_processes: int) -> Iterator[tuple[int, int]]:
    """Call `job` with 0, 1, ... in processes; yield a number and its result as each is done, in any order."""
    if num_processes <= 1 or num_jobs <= 1:
        for number in range(num_jobs):
            yield number, job(number)
        return

    @daft.cls(use_process=True, max_concurrency=num_processes)
    class Worker:
        @daft.method.batch(return_dtype=DataType.int64(), batch_size=1)
        def run(self, numbers: daft.Series) -> list[int]:
            return [job(number) for number in numbers.to_pylist()]

    frame = daft.from_pydict({"number": list(range(num_jobs))}).into_batches(1)
    result = Worker().run(col("number")).alias("result")  # type: ignore[arg-type, attr-defined]
    for row in frame.select(col("number"), result).iter_rows():
        yield row["number"], row["result"]


def count_rows(paths: Sequence[Path]) -> list[Mapping[str, Any]]:
    """Rows and bytes by step and reason."""
    frame = _read(paths).groupby("step", "reason")
    rows = frame.agg(
        col("id").count().alias("rows"), col("raw_bytes").sum().alias("raw"), col("text_bytes").sum().alias("text")
    ).to_pylist()
    return sorted(rows, key=lambda row: (row["step"], row["reason"]))


def read_survivors(paths: Sequence[Path], columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Rows that no step dropped, sorted by id."""
    return _rows(_read(paths).where("step = ''").select(*columns).sort("id"))


def read_dropped(paths: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    """The rows that a step dropped and whose text was kept as a sample, sorted by step, reason and id."""
    return _rows(_read(paths).where("step <> '' and text <> ''").sort(["step", "reason", "id"]))


def group_by_key(ids: Sequence[str], keys: Sequence[Sequence[bytes]]) -> list[list[str]]:
    """Ids that share a key, where at least two do."""
    if not ids:
        return []
    frame = daft.from_pydict({"id": list(ids), "key": [list(row) for row in keys]}).explode("key")
    groups = frame.groupby("key").agg(col("id").list_agg().alias("ids")).select("ids").to_pydict()["ids"]
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _read(paths: Sequence[Path]) -> daft.DataFrame:
    return daft.read_parquet([str(path) for path in paths])


def _rows(frame: daft.DataFrame) -> Iterator[Mapping[str, Any]]:
    yield from frame.iter_rows()
