"""The primer: a corpus that the project writes itself, because a fresh machine has no web crawl.

`generate_primer` builds a small world (people, things, places, rules) and writes about it: lessons, web pages good
and bad, exercises, preference pairs and held-out questions. Everything is drawn from a seed, and every answer is
computed, so that it can be checked.

Where to look: `world` (names, things, and what is held out), `problem` (one exercise, and how sentences are chosen),
`skills` (the question types; their sentences stand in `templates_*`), `lessons`, `exercises`, `web` (pages and
their labels), `generate` (the stage).
"""

from pocketphi.data.primer.generate import generate_primer

__all__ = ["generate_primer"]
