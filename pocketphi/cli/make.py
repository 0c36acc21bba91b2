"""Verbs that make a model: `make` runs a recipe, a verb for each stage runs that one, `schema` describes recipes."""

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketphi.cli.options import Group
from pocketphi.cli.report import notice

if TYPE_CHECKING:
    from pocketphi.recipe import Recipe
    from pocketphi.stages import Outcome

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="a TOML file; recipes/ has some")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="the run's directory; default: runs/ and the recipe's name")
]
Data = Annotated[
    list[Path] | None,
    typer.Option("--data", metavar="FOLDER", help="mix in your own text, Markdown, HTML and WARC files; repeatable"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="change a key, for instance sft.learning_rate=2e-5; repeatable"),
]


def make(
    recipe: RecipeFile,
    out: Out = None,
    data: Data = None,
    set_: Set = None,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="stop after this stage")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="make this stage and all after it again")
    ] = None,
) -> None:
    """Make a model: run every stage of a recipe.

    What is finished is skipped, what was cut off goes on: after a kill, run the same command again. Prints the path of
    the report.
    """
    outcomes = _run(recipe, out, data, set_, until=until, redo_from=from_)
    if outcomes:
        last = outcomes[-1].artifact.path
        print(last / "report.html" if (last / "report.html").is_file() else last)


def schema() -> None:
    """Print the JSON schema of recipes, for editors to complete and check with."""
    from pocketphi.recipe import recipe_schema

    print(json_format.dumps(recipe_schema(), indent=1, ensure_ascii=False))


def primer(recipe: RecipeFile, out: Out = None, set_: Set = None) -> None:
    """Write the embedded corpus of a recipe: pages, lessons, exercises, held-out questions."""
    _run_stages(recipe, out, None, set_, "primer")


def curate(
    sources: Annotated[
        list[Path], typer.Argument(metavar="RECIPE|FOLDER...", help="a recipe, or folders of pages and archives")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="the run's directory, or for folders the corpus to write"),
    ] = None,
    data: Data = None,
    set_: Set = None,
) -> None:
    """Turn raw pages into a clean corpus: text, language, filters, duplicates, educational value.

    Of a recipe, the stage `corpus`. Of folders, every page and archive in them. Prints the corpus's path.
    """
    if len(sources) == 1 and sources[0].suffix == ".toml":
        _run_stages(sources[0], out, data, set_, "corpus")
        return
    from pocketphi.errors import UsageError

    if out is None or data or set_:
        raise UsageError("folders are curated into a directory of their own: give --out, and neither --data nor --set")
    from pocketphi.cli.watch import funnel, one_stage
    from pocketphi.data.curate import curate as curate_pages
    from pocketphi.recipe import Curate

    with one_stage("corpus") as progress:
        corpus = curate_pages(Curate(), None, sources, out, seed=1, progress=progress)
    for line in funnel(corpus):
        notice(line)
    print(corpus.path)


def tokenize(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Learn a tokenizer from the corpus of a recipe, and turn the corpus into tokens."""
    _run_stages(recipe, out, data, set_, "tokenizer", "shards")


def pretrain(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Pretrain the model of a recipe, both phases."""
    _run_stages(recipe, out, data, set_, "phase1", "phase2")


def sft(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Tune the pretrained model of a recipe on conversations."""
    _run_stages(recipe, out, data, set_, "sft")


def dpo(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Teach the tuned model of a recipe to prefer good answers."""
    _run_stages(recipe, out, data, set_, "dpo")


def evaluate(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Ask every finished checkpoint and model of a recipe the held-out questions."""
    from pocketphi.pipeline import EVALUATION, stages_of

    chosen = _recipe(recipe, data, set_)
    _run_stages(recipe, out, data, set_, *(each.name for each in stages_of(chosen) if each.name.startswith(EVALUATION)))


def quantize(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="a stage that trained, such as runs/nano/dpo, or a Hugging Face folder"
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="the directory to write; it holds model.pocket")
    ],
    group: Group = 64,
) -> None:
    """Round a checkpoint to 4-bit weights. Prints the path of the model file."""
    from pocketphi.artifact import is_artifact, open_artifact
    from pocketphi.cli.watch import one_stage
    from pocketphi.quant.quantize import quantize as quantize_checkpoint
    from pocketphi.recipe import Quantize

    table = Quantize.model_validate({"group": group})
    source = open_artifact(checkpoint, "checkpoint") if is_artifact(checkpoint) else checkpoint
    with one_stage("quantize") as progress:
        model = quantize_checkpoint(table, source, out, seed=1, progress=progress)
    print(model.path / "model.pocket")


def report(recipe: RecipeFile, out: Out = None, data: Data = None, set_: Set = None) -> None:
    """Write the report of a recipe's run: one HTML page, made to be looked at."""
    _run_stages(recipe, out, data, set_, "report")


def _run_stages(recipe: Path, out: Path | None, data: list[Path] | None, set_: list[str] | None, *stages: str) -> None:
    """Run these stages of a recipe, and print where each of them is."""
    for outcome in _run(recipe, out, data, set_, only=stages):
        if outcome.stage in stages:
            print(outcome.artifact.path)


def _run(
    path: Path,
    out: Path | None,
    data: list[Path] | None,
    set_: list[str] | None,
    *,
    until: str | None = None,
    redo_from: str | None = None,
    only: tuple[str, ...] | None = None,
) -> list["Outcome"]:
    from pocketphi.cli.watch import print_summary, watching
    from pocketphi.pipeline import make as make_recipe

    recipe = _recipe(path, data, set_)
    with watching() as view:
        outcomes = make_recipe(
            recipe, out or Path("runs") / recipe.name, view=view, until=until, redo_from=redo_from, only=only
        )
    print_summary(outcomes)
    return outcomes


def _recipe(path: Path, data: list[Path] | None, set_: list[str] | None) -> "Recipe":
    from pocketphi.recipe import load_recipe

    return load_recipe(path, set_ or (), data or ())
