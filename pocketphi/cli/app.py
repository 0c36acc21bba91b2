"""The verbs of the command line, and the options that stand before any of them."""

from typing import Annotated

import typer

from pocketphi.cli import benchmarks, make, measure, models, talk
from pocketphi.cli.doctor import doctor
from pocketphi.cli.plan import plan
from pocketphi.cli.serve import serve
from pocketphi.version import __version__

app = typer.Typer(
    name="pocketphi",
    help="Talk to small language models on your own machine.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
)

app.command("chat")(talk.chat)
app.command("serve")(serve)
app.command("pull")(models.pull)
app.command("import")(models.import_)
app.command("list")(models.list_)
app.command("show")(models.show)
app.command("verify")(models.verify)
app.command("rm")(models.remove)
app.command("make")(make.make)
app.command("primer")(make.primer)
app.command("curate")(make.curate)
app.command("tokenize")(make.tokenize)
app.command("pretrain")(make.pretrain)
app.command("sft")(make.sft)
app.command("dpo")(make.dpo)
app.command("evaluate")(make.evaluate)
app.command("quantize")(make.quantize)
app.command("report")(make.report)
app.command("schema")(make.schema)
app.command("plan")(plan)
app.command("eval")(benchmarks.eval_)
app.command("bench")(measure.bench)
app.command("perplexity")(measure.perplexity)
app.command("doctor")(doctor)


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
