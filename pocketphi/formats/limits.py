"""What a model file may hold at most. Checked before anything is allocated; `docs/format.md` lists them.

They are far above every published model of the families that pocketphi runs, and low enough that a
hostile file costs neither time nor memory: the parsed form of the largest allowed header stays below
64 MiB. The limits on a config's numbers are in `architecture.py`.
"""

MAX_FILE_BYTES = 1 << 38
"""256 GiB."""
MAX_TENSORS = 8_192
MAX_DIMENSIONS = 4
MAX_DIMENSION = 1 << 31
MAX_NAME_BYTES = 256
"""UTF-8 bytes of a tensor's name or of a metadata key."""

MAX_JSON_BYTES = 4 << 20
"""A safetensors header, or a JSON file of a folder other than the tokenizer."""
MAX_JSON_DEPTH = 8
MAX_JSON_VALUES = 250_000
"""Commas, colons and brackets in one JSON text: what its parsed form can grow to."""

MAX_METADATA_ENTRIES = 4_096
MAX_METADATA_BYTES = 32 << 20
MAX_STRING_BYTES = 1 << 20
MAX_ARRAY_VALUES = 1 << 20
"""Values of one GGUF array (the merges of a large vocabulary)."""
MAX_ALL_ARRAY_VALUES = 1 << 21
"""Values of all GGUF arrays of a file."""
ALIGNMENTS = (32, 64, 128)

MAX_TOKENIZER_BYTES = 48 << 20
