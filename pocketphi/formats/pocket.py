"""The `.pocket` model file: packed weights, config, tokenizer and chat settings in one safetensors file.

The weights lie in the engine's own layout at multiples of 64 bytes, so opening is mapping: nothing is
copied or repacked, and resident memory is the part of the file that is used. `docs/format.md` gives
the file byte for byte.

The header carries its own SHA-256, checked at every opening, and a SHA-256 per tensor, checked by
`verify_pocket`, because reading gigabytes to open a file would undo the point of mapping it.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pocketphi.architecture import DecoderConfig, expected_tensors, inverse_frequencies
from pocketphi.errors import UserError, shown
from pocketphi.formats.files import OpenFile, open_regular, replace_file
from pocketphi.formats.limits import MAX_TOKENIZER_BYTES
from pocketphi.formats.safetensors import PREFIX_BYTES, Header, header_length, parse_header, read_header
from pocketphi.formats.strict_json import dump_json, parse_json
from pocketphi.packing import ALIGNMENT, ROW_BLOCK, PackedTensor, WeightFormat, is_finite, pack_vector, packed_bytes

POCKET_VERSION = 1
TOKENIZER = "tokenizer"
"""Name of the tensor that holds `tokenizer.json`."""

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""

_VERSION = re.compile(rb'"pocket_version":"(\d{1,9})"')
_DIGEST = re.compile(rb'"header_sha256":"([0-9a-f]{64})"')
_IMPORT_HINT = "import a model with `pocketphi import SOURCE -o FILE.pocket`"
_METADATA_KEYS = {"pocket_version", "config", "tensors", "chat", "lineage", "header_sha256"}


@dataclass(frozen=True, kw_only=True)
class ChatSettings:
    """What a chat needs to know beside the tokenizer."""

    template: str
    """Name of a built-in template (`pocketphi.chat`)."""
    bos_token_id: int | None
    """The token that every sequence starts with; None if the model wants none."""
    stop_token_ids: tuple[int, ...]
    """Tokens that end an answer; at least one."""
    pad_token_id: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class PocketFile:
    """An open model file. The arrays are views of a read-only map, which lives as long as they do."""

    path: Path
    size: int
    config: DecoderConfig
    chat: ChatSettings
    lineage: dict[str, Any]
    """Where the weights come from and how they were rounded."""
    tokenizer_json: bytes
    tensors: dict[str, PackedTensor]
    """Every tensor of `stored_shapes(config)`, in the order of the file."""


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """One line of the header's table of tensors."""

    format: WeightFormat | None
    """None for the tokenizer, which is JSON text padded with spaces."""
    group: int
    shape: tuple[int, int]
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PocketHeader:
    """What a header says, checked: everything but the data."""

    config: DecoderConfig
    chat: ChatSettings
    lineage: dict[str, Any]
    tensors: dict[str, StoredTensor]
    layout: Header


def stored_shapes(config: DecoderConfig) -> dict[str, tuple[int, int]]:
    """Every tensor of a file by name, as (rows, columns) in the packed layout.

    The decoder's weights, with the rows of `gate_up_proj` padded to whole blocks, and the rotary
    tables `rope.inv_freq` and, for LongRoPE, `rope.inv_freq_long`.
    """
    shapes = {
        name: (-(-rows // (2 * ROW_BLOCK)) * 2 * ROW_BLOCK if name.endswith(".gate_up_proj.weight") else rows, cols)
        for name, (rows, cols) in expected_tensors(config).items()
    }
    shapes["rope.inv_freq"] = (1, config.head_dim // 2)
    if config.rope.is_long:
        shapes["rope.inv_freq_long"] = (1, config.head_dim // 2)
    return shapes


def open_pocket(path: Path) -> PocketFile:
    """Open and map a model file, its header fully checked.

    Raises:
        UserError: the file is not a readable `.pocket` file of this version; the message names the
            field and its value.
    """
    return _open(path)[0]


def verify_pocket(path: Path, progress: Progress | None = None) -> PocketFile:
    """Open a model file and check every byte: each tensor's SHA-256, and that all its numbers are finite.

    Raises:
        UserError: as `open_pocket`, or a tensor is damaged; the message names it.
    """
    model, header, data = _open(path)
    done, total = 0, len(data)
    for name, entry in header.layout.tensors.items():
        digest = hashlib.sha256()
        for begin in range(entry.begin, entry.end, 1 << 24):
            part = data[begin : min(begin + (1 << 24), entry.end)]
            digest.update(part.data)
            done += len(part)
            if progress is not None:
                progress(done, total)
        if digest.hexdigest() != header.tensors[name].sha256:
            raise UserError(
                f"`{path}`: tensor `{name}` is damaged: its SHA-256 is {digest.hexdigest()}, "
                f"the header says {header.tensors[name].sha256}",
                hint="fetch or import the model again",
            )
    for name, tensor in model.tensors.items():
        if not is_finite(tensor):
            raise UserError(f"`{path}`: tensor `{name}` holds a number that is not finite")
    if progress is not None:
        progress(total, total)
    return model


def write_pocket(
    path: Path,
    *,
    config: DecoderConfig,
    chat: ChatSettings,
    lineage: dict[str, Any],
    tokenizer_json: bytes,
    tensors: Iterable[tuple[str, PackedTensor]],
    progress: Progress | None = None,
) -> None:
    """Write a model file, whole or not at all.

    Args:
        path: replaced if it exists, once the new file is complete and on the disk.
        tensors: (name, tensor) for every decoder weight of `stored_shapes`, each once, in any order; taken
            one at a time, so they need not be in memory together. The rotary tables are added here.
        progress: called after each tensor, in bytes of data; the total is an estimate until the end.

    Raises:
        UserError: the file cannot be written.
        ValueError: a tensor is missing, foreign, given twice or of the wrong shape.
    """
    shapes = stored_shapes(config)
    table: dict[str, StoredTensor] = {}
    texts = {"config": dump_json(config.to_published()), "chat": dump_json(asdict(chat)), "lineage": dump_json(lineage)}
    # The header comes first but holds the digests of what follows: leave room for it, and fill the rest with spaces.
    room = 4096 + sum(2 * len(text) for text in texts.values()) + sum(2 * len(name) + 400 for name in shapes)
    data_begin = position = -(-room // ALIGNMENT) * ALIGNMENT
    with replace_file(path) as file:
        file.seek(data_begin)
        text = tokenizer_json.ljust(-(-len(tokenizer_json) // ALIGNMENT) * ALIGNMENT)
        file.write(text)
        position += len(text)
        table[TOKENIZER] = StoredTensor(
            format=None, group=0, shape=(1, len(text)), sha256=hashlib.sha256(text).hexdigest()
        )
        for name, tensor in _with_rotary_tables(config, tensors):
            if name in table or shapes.get(name) != tensor.shape:
                raise ValueError(f"tensor `{name}` of shape {tensor.shape} is foreign or given twice")
            digest = hashlib.sha256(tensor.data.data).hexdigest()
            table[name] = StoredTensor(format=tensor.format, group=tensor.group, shape=tensor.shape, sha256=digest)
            file.write(tensor.data.data)
            position += len(tensor.data)
            if progress is not None:
                progress(position, position * (len(shapes) + 1) // len(table))
        if missing := shapes.keys() - table.keys():
            raise ValueError(f"tensor `{min(missing)}` is missing")
        header = _build_header(texts, table, data_begin)
        parse_pocket(header, position, f"`{path}`")
        file.seek(0)
        file.write(header)


def parse_pocket(raw: bytes, file_size: int, where: str) -> PocketHeader:
    """Check and understand the header of a `.pocket` file.

    Args:
        raw: the file's first bytes, at least up to the end of the header.
        file_size: bytes of the whole file.
        where: names the file in errors.
    """
    header = raw[: PREFIX_BYTES + header_length(raw, file_size, where)]
    version = _VERSION.search(header)
    if version is None:
        raise UserError(f"{where}: not a `.pocket` file: it states no `pocket_version`", hint=_IMPORT_HINT)
    if int(version[1]) != POCKET_VERSION:
        raise UserError(
            f"{where}: pocket_version {int(version[1])}, this pocketphi reads version {POCKET_VERSION}",
            hint="update pocketphi" if int(version[1]) > POCKET_VERSION else "import the model again",
        )
    _check_seal(header, where)
    layout = parse_header(header, file_size, where)
    metadata = layout.metadata
    if metadata.keys() != _METADATA_KEYS or metadata["pocket_version"] != str(POCKET_VERSION):
        raise UserError(f"{where}: header keys `{shown(sorted(metadata))}`, expected `{sorted(_METADATA_KEYS)}`")
    try:
        config = DecoderConfig.from_published(parse_json(metadata["config"], "config"))
    except UserError as error:
        raise UserError(f"{where}, config: {error.message}", hint=error.hint) from None
    return PocketHeader(
        config=config,
        chat=_read_chat(metadata["chat"], config.vocab_size, f"{where}, chat"),
        lineage=parse_json(metadata["lineage"], f"{where}, lineage"),
        tensors=_read_table(metadata["tensors"], layout, config, where),
        layout=layout,
    )


def _open(path: Path) -> tuple[PocketFile, PocketHeader, npt.NDArray[np.uint8]]:
    """An open file, its header and its bytes."""
    with open_regular(path) as file:
        header = _read_header(file)
        data = file.map()
    entries = header.layout.tensors
    tensors = {
        name: PackedTensor(
            format=line.format, group=line.group, shape=line.shape, data=data[entries[name].begin : entries[name].end]
        )
        for name, line in header.tensors.items()
        if line.format is not None
    }
    model = PocketFile(
        path=path,
        size=len(data),
        config=header.config,
        chat=header.chat,
        lineage=header.lineage,
        tokenizer_json=data[entries[TOKENIZER].begin : entries[TOKENIZER].end].tobytes().rstrip(b" "),
        tensors=tensors,
    )
    return model, header, data


def _read_header(file: OpenFile) -> PocketHeader:
    where = f"`{file.path}`"
    if file.read(0, min(4, file.size)) == b"GGUF":
        raise UserError(f"{where}: a GGUF file, not a `.pocket` file", hint=_IMPORT_HINT)
    return parse_pocket(read_header(file), file.size, where)


def _check_seal(header: bytes, where: str) -> None:
    found = _DIGEST.findall(header)
    if len(found) != 1:
        raise UserError(f"{where}: {len(found)} values of `header_sha256`, expected one")
    if _seal(header, found[0]) != found[0]:
        raise UserError(
            f"{where}: the header is damaged: its SHA-256 is not its `header_sha256` {found[0].decode()}",
            hint="fetch or import the model again",
        )


def _seal(header: bytes, digits: bytes) -> bytes:
    """SHA-256 of a header as if the digits of its own digest were zeros."""
    return hashlib.sha256(header.replace(digits, b"0" * 64)).hexdigest().encode()


def _read_table(text: str, layout: Header, config: DecoderConfig, where: str) -> dict[str, StoredTensor]:
    """The table of tensors, checked against the config and against where the tensors lie."""
    lines = parse_json(text, f"{where}, tensors")
    shapes = stored_shapes(config)
    expected = {*shapes, TOKENIZER}
    for wrong, problem in ((expected - lines.keys(), "missing"), (lines.keys() - expected, "foreign")):
        if wrong:
            names = ", ".join(f"`{shown(name)}`" for name in sorted(wrong)[:5])
            raise UserError(f"{where}: {len(wrong)} tensors {problem}: {names}")
    if layout.tensors.keys() != expected:
        raise UserError(f"{where}: the header's tensors are not those of its table")
    table = {}
    for name in layout.tensors:
        field = f"{where}, tensor `{name}`"
        entry, line = layout.tensors[name], lines[name]
        if not isinstance(line, dict) or line.keys() != {"format", "group", "shape", "sha256"}:
            raise UserError(f"{field}: not an object of `format`, `group`, `shape` and `sha256`")
        size = entry.end - entry.begin
        shape = shapes.get(name, (1, size))
        if line["shape"] != list(shape) or any(type(count) is not int for count in line["shape"]):
            raise UserError(f"{field}: shape `{shown(line['shape'])}`, the config needs {list(shape)}")
        if not isinstance(line["sha256"], str) or not re.fullmatch("[0-9a-f]{64}", line["sha256"]):
            raise UserError(f"{field}: sha256 `{shown(line['sha256'])}` is not 64 hexadecimal digits")
        kind = _read_format(line, shape, field) if name != TOKENIZER else None
        taken = size if kind is None else packed_bytes(kind, line["group"], *shape)
        if entry.dtype != "U8" or size != taken or size % ALIGNMENT or entry.begin % ALIGNMENT:
            raise UserError(f"{field}: {entry.dtype} of {size} bytes at {entry.begin}, expected U8 of {taken} bytes")
        if kind is None and size > MAX_TOKENIZER_BYTES:
            raise UserError(f"{field}: {size} bytes, allowed are {MAX_TOKENIZER_BYTES}")
        table[name] = StoredTensor(format=kind, group=line["group"], shape=shape, sha256=line["sha256"])
    return table


def _read_format(line: dict[str, Any], shape: tuple[int, int], field: str) -> WeightFormat:
    try:
        kind = WeightFormat(line["format"])
    except ValueError:
        allowed = ", ".join(WeightFormat)
        raise UserError(f"{field}: unknown format `{shown(line['format'])}`, known: {allowed}") from None
    if type(line["group"]) is not int or line["group"] not in kind.groups:
        raise UserError(f"{field}: `{kind}` in groups of `{shown(line['group'])}`, allowed: {kind.groups}")
    if (kind is WeightFormat.F32) != (shape[0] == 1):
        raise UserError(f"{field}: format `{kind}` for shape {list(shape)}: vectors are f32, matrices are not")
    return kind


def _read_chat(text: str, vocab_size: int, where: str) -> ChatSettings:
    fields = parse_json(text, where)
    if fields.keys() != {"template", "bos_token_id", "stop_token_ids", "pad_token_id"}:
        raise UserError(f"{where}: keys `{shown(sorted(fields))}` are not those of chat settings")
    template, stop = fields["template"], fields["stop_token_ids"]
    if not isinstance(template, str) or not 1 <= len(template) <= 64:
        raise UserError(f"{where}: template `{shown(template)}` is not a name")
    if not isinstance(stop, list) or not 1 <= len(stop) <= 64:
        raise UserError(f"{where}: stop_token_ids `{shown(stop)}` is not a list of 1 to 64 ids")
    optional = [fields[name] for name in ("bos_token_id", "pad_token_id") if fields[name] is not None]
    for token in (*stop, *optional):
        if type(token) is not int or not 0 <= token < vocab_size:
            raise UserError(f"{where}: token id `{shown(token)}`, allowed are 0 to {vocab_size - 1}")
    return ChatSettings(
        template=template,
        bos_token_id=fields["bos_token_id"],
        stop_token_ids=tuple(stop),
        pad_token_id=fields["pad_token_id"],
    )


def _build_header(texts: dict[str, str], table: dict[str, StoredTensor], data_begin: int) -> bytes:
    placeholder = b"f" * 64
    lines = {name: {**asdict(line), "format": line.format or "json"} for name, line in table.items()}
    metadata = {
        "pocket_version": str(POCKET_VERSION),
        "header_sha256": placeholder.decode(),
        **texts,
        "tensors": dump_json(lines),
    }
    fields: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, line in table.items():
        size = line.shape[1] if line.format is None else packed_bytes(line.format, line.group, *line.shape)
        fields[name] = {"dtype": "U8", "shape": [size], "data_offsets": [offset, offset + size]}
        offset += size
    text = dump_json(fields).encode().ljust(data_begin - PREFIX_BYTES)
    header = (data_begin - PREFIX_BYTES).to_bytes(PREFIX_BYTES, "little") + text
    assert len(header) == data_begin
    return header.replace(placeholder, _seal(header, placeholder))


def _with_rotary_tables(
    config: DecoderConfig, tensors: Iterable[tuple[str, PackedTensor]]
) -> Iterator[tuple[str, PackedTensor]]:
    yield from tensors
    short, long = inverse_frequencies(config.rope)
    yield "rope.inv_freq", pack_vector(np.array(short, np.float32))
    if long is not None:
        yield "rope.inv_freq_long", pack_vector(np.array(long, np.float32))
