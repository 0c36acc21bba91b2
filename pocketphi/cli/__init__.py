"""The command line: one verb per job, no logic.

Results go to standard output, one per line; progress, notices and errors to standard error. A verb
imports what it needs when it runs, so that `pocketphi --help` answers at once.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import Annotated

import typer

from pocketphi import __version__
from pocketphi.cli import measure, models, talk
from pocketphi.cli.report import open_streams, run

app = typer.Typer(
    name="pocketphi",
    help="Talk to small language models on your own machine.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
)

app.command("chat")(talk.chat)
app.command("pull")(models.pull)
app.command("import")(models.import_)
app.command("list")(models.list_)
app.command("show")(models.show)
app.command("verify")(models.verify)
app.command("rm")(models.remove)
app.command("bench")(measure.bench)
app.command("perplexity")(measure.perplexity)


@app.callback()
def every_verb(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version and leave")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show the traceback of an error")] = False,  # noqa: ARG001 - see main
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """The `pocketphi` command; ends the process."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    open_streams()
    shows_traceback = "--debug" in takewhile(lambda word: word.startswith("-"), given)
    sys.exit(run(lambda: app(given, prog_name="pocketphi", standalone_mode=False), shows_traceback=shows_traceback))
