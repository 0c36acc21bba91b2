"""`python -m pocketphi` is the `pocketphi` command."""

from pocketphi.cli import main

main()
