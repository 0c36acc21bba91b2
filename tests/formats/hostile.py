"""Crafted bad files, one generator per kind, numbered after the list that the project keeps of them:

1 too short · 2 wrong magic or version · 3 truncated · 4 flipped bits · 5 counts · 6 string lengths ·
7 dimensions · 8 sums that wrap · 9 alignment · 10 offsets · 11 duplicates · 12 types and blocks ·
13 vocabulary · 14 nesting and numbers of JSON · 15 config · 16 shapes and names · 17 scales ·
18 templates · 19 code · 20 foreign formats.

Each case is a whole file and a pattern that its error must match. `GGUF` cases go through the import,
`safetensors` ones as the weights of a folder, `pocket` ones through the full verification.
"""

import io
import zipfile
from dataclasses import dataclass

HUGE = [2**31, 2**32 - 1, 2**63, 2**64 - 1]
PAYLOAD = b"cposix\nsystem\n(S'touch /tmp/pocketphi-was-here'\ntR."


@dataclass(frozen=True)
class Case:
    """A file that must be refused, and how."""

    name: str
    raw: bytes
    message: str


def zip_of_a_pickle() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", PAYLOAD)
    return out.getvalue()
