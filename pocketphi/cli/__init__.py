"""The command line: one verb per job, no logic. `app` lists the verbs, a module beside it holds each group.

Results go to standard output, one per line; progress, notices and errors to standard error. A verb
imports what it needs when it runs, so that `pocketphi --help` answers at once.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """The `pocketphi` command; ends the process."""
    try:
        # Imported here, so that Ctrl-C in the first moments ends as quietly as later on.
        from pocketphi.cli.app import app
        from pocketphi.cli.report import open_streams, run

        given = sys.argv[1:] if arguments is None else list(arguments)
        open_streams()
        shows_traceback = "--debug" in takewhile(lambda word: word.startswith("-"), given)
        sys.exit(run(lambda: app(given, prog_name="pocketphi", standalone_mode=False), shows_traceback=shows_traceback))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
