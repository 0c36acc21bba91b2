"""`pocketphi serve`."""

import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketphi.cli.loading import open_served, pull_if_absent
from pocketphi.cli.options import Context, Threads, utf8, whole
from pocketphi.cli.report import notice
from pocketphi.config import settings
from pocketphi.errors import UsageError, UserError

if TYPE_CHECKING:
    from pocketphi.serve.addresses import Listening
    from pocketphi.serve.certificate import Certificate

PORT = 1618
"""The golden ratio's first digits; none of the common model servers listens there."""


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="names, hf:owner/name, or .pocket files; requests choose by name"),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            parser=utf8,
            metavar="ADDRESS",
            help="where to listen; 0.0.0.0 for the whole network: then with HTTPS and a token",
        ),
    ] = "localhost",
    port: Annotated[int, typer.Option(parser=whole(0, 65535), metavar="N", help="0 takes a free one")] = PORT,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            parser=utf8, metavar="KEY", help="what clients must send; may be repeated; others can see a command line"
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="keys, one a line; or set POCKETPHI_SERVE_KEYS")
    ] = None,
    new_token: Annotated[bool, typer.Option("--new-token", help="make a new token: the old one opens no more")] = False,
    host_name: Annotated[
        list[str] | None,
        typer.Option(parser=utf8, metavar="NAME", help="another name that leads here; may be repeated"),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(parser=utf8, metavar="ORIGIN", help="a web page that may ask, such as https://notes.example"),
    ] = None,
    context: Context = None,
    threads: Threads = None,
    parallel: Annotated[
        int, typer.Option(parser=whole(1, 64), metavar="N", help="answers that are written at once")
    ] = 4,
    queue: Annotated[
        int, typer.Option(parser=whole(0, 10_000), metavar="N", help="requests that may wait; more are refused")
    ] = 16,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="a line for each request")] = False,
) -> int:
    """Serve models: an OpenAI-compatible API, and a chat page.

    Without --host only this machine can connect. On any other address the connection is HTTPS and every request needs
    a key; where none is given, a token is made and shown as a link and a QR code for a phone.
    """
    from pocketphi.hub import DEFAULT_MODEL
    from pocketphi.runtime.scheduler.scheduler import Scheduler
    from pocketphi.serve import logs
    from pocketphi.serve.addresses import listen
    from pocketphi.serve.app import guarded_app
    from pocketphi.serve.listen import serve as answer
    from pocketphi.serve.openai.served import ServedModel

    names = models or [DEFAULT_MODEL]
    if len(set(names)) != len(names):
        raise UsageError("a model is named twice", hint="name each once")
    logs.start(sys.stderr, verbose=verbose)
    for name in names:
        pull_if_absent(name)
    with ExitStack() as stack:
        listening = listen(host, port, host_name or ())
        for bound in listening.sockets:
            stack.enter_context(bound)
        keys, token = _keys(api_key or (), api_key_file, anew=new_token, is_reachable=listening.is_reachable)
        certificate = _certificate(listening)
        turn = threading.Lock() if len(names) > 1 else None
        served: list[ServedModel] = []
        for number, name in enumerate(names):
            model = stack.enter_context(
                open_served(name, threads=threads, context=context, parallel=parallel, models=len(names) - number)
            )
            scheduler = stack.enter_context(Scheduler(model, parallel=parallel, max_waiting=queue, turn=turn))
            if any(model.name == each.name for each in served):
                raise UserError(f"two models are called `{model.name}`", hint="requests choose by name: rename a file")
            served.append(ServedModel(name=model.name, model=model, scheduler=scheduler))
        app = guarded_app(served, listening, keys=keys, allowed_origins=allow_origin or (), certificate=certificate)
        _announce(listening, token, certificate)
        cut = answer(app, listening, [each.scheduler for each in served], certificate=certificate)
    notice(f"stopped; {cut} answers were cut short" if cut else "stopped")
    return 0


def _keys(
    given: list[str] | tuple[str, ...], file: Path | None, *, anew: bool, is_reachable: bool
) -> tuple[tuple[str, ...], str | None]:
    """The keys that open, and of these the one to show in a link: nobody sees one that was given."""
    from pocketphi.serve.keys import check_keys, made_token, read_keys

    here = settings()
    keys = check_keys([*given, *(read_keys(file) if file else ()), *here.serve_keys], is_reachable=is_reachable)
    if keys or not is_reachable:
        return keys, None
    token = made_token(here.state_dir / "serve" / "token", anew=anew)
    return (token,), token


def _certificate(listening: "Listening") -> "Certificate | None":
    if not listening.is_reachable:
        return None
    from pocketphi.serve.certificate import certificate_for

    return certificate_for(listening.names, settings().state_dir / "serve")


def _announce(listening: "Listening", token: str | None, certificate: "Certificate | None") -> None:
    """Addresses on standard output, one a line; everything else on standard error."""
    end = "" if token is None else f"/#token={token}"
    for url in listening.urls if listening.is_reachable else listening.urls[:1]:
        print(f"{url}{end}")
    sys.stdout.flush()
    first = listening.urls[0]
    if token is not None and sys.stderr.isatty():
        import segno

        segno.make(f"{first}{end}", error="l").terminal(out=sys.stderr, compact=True)
    if certificate is not None:
        notice(
            f"a phone opens the link once past its browser's warning, or without one where {first}/ca.crt is installed "
            f"(SHA-256 {certificate.authority_digest})"
        )
    notice(f"OpenAI clients take {first}/v1 as base URL; {first}/docs describes it; Ctrl-C stops")
