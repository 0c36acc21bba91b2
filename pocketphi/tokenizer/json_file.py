"""`tokenizer.json`: published files in, our one canonical form out (and in again).

A published file describes a pipeline of parts, some of which hold programs of a kind (regular
expressions, templates). We take the vocabulary, the merges and the special tokens from it; the other
parts must be ones we know and are rebuilt by us. The canonical form is the published format with one
more key, `pocketphi`, for the ids that otherwise live in `tokenizer_config.json`.
"""

import json
import reprlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NoReturn

from pocketphi.errors import UserError
from pocketphi.tokenizer.splitting import SPLITS, rule_of
from pocketphi.tokenizer.vocabulary import (
    MAX_MERGES,
    MAX_TOKENS,
    SPACE,
    Kind,
    Prefix,
    SpecialToken,
    Vocabulary,
    is_control,
)

MAX_FILE_BYTES = 40 * 2**20
MAX_VALUES = 3_000_000
"""Commas, colons and brackets, which bound the parsed form: a full vocabulary with a million merges as text, or
600,000 as pairs."""
_TYPES = {bool: "true or false", int: "a whole number", str: "text", list: "a list", dict: "an object"}

_SPACES: dict[str, Any] = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
_PREPEND: dict[str, Any] = {"type": "Prepend", "prepend": SPACE}
_UNSPACES: dict[str, Any] = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
_STRIP: dict[str, Any] = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
_BYTES: list[dict[str, Any]] = [{"type": "ByteFallback"}, {"type": "Fuse"}]
_METASPACE: dict[Prefix, str] = {"every-bare": "always", "first-bare": "first", "never": "never"}


def read(data: bytes, config: Mapping[str, Any] | None) -> Vocabulary:
    """Check and take in a file; see `Tokenizer.from_json`."""
    root = _parse(data)
    model = _get(root, "model", dict)
    if model.get("type", "BPE") != "BPE":
        _refuse(f"model type `{model['type']!s:.40}` is not supported", "byte-pair encoding (`BPE`) is")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            _refuse(f"`model.{key}` is not supported")
    special = _special_tokens(root)
    tokens = _tokens(_get(model, "vocab", dict), special)
    prefix = None if model.get("byte_fallback") else ""
    kind: Kind = "byte" if prefix == "" else "sentencepiece"
    split = _split_rule(root) if kind == "byte" else ""
    known = {token.text: token.id for token in special}
    bos_by_template = _bos_of_post_processor(root.get("post_processor"))
    names = _Names(root.get("pocketphi"), config, {token: index for index, token in enumerate(tokens)})
    bos_id = names.bos_id if names.bos_id is not None else known.get(bos_by_template or "")
    add_bos = names.add_bos if names.add_bos is not None else bos_by_template is not None
    named = {bos_id, names.pad_id, names.ids.get(str(model.get("unk_token")))}
    suspects = {*names.eos_ids, *named, *(i for i, token in enumerate(tokens) if token.startswith("<|"))}
    special += [
        SpecialToken(index, tokens[index])
        for index in sorted(index for index in suspects if index is not None and 0 <= index < len(tokens))
        if tokens[index] not in known and (index in names.eos_ids or is_control(tokens[index], named=index in named))
    ]
    return Vocabulary(
        kind=kind,
        tokens=tuple(tokens),
        merges=_merges(_get(model, "merges", list)),
        special=tuple(special),
        split=split,
        whole_words=bool(model.get("ignore_merges")) and kind == "byte",
        prefix=_prefix_rule(root) if kind == "sentencepiece" else "never",
        add_bos=add_bos,
        bos_id=bos_id,
        eos_ids=names.eos_ids,
        pad_id=names.pad_id,
    )


def write(vocabulary: Vocabulary) -> bytes:
    """The canonical form: `read` gives back an equal vocabulary."""
    is_byte = vocabulary.kind == "byte"
    if is_byte:
        normalizer: Any = None
        pre_tokenizer: Any = {"type": "Sequence", "pretokenizers": SPLITS[vocabulary.split]}
        decoder: Any = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    else:
        normalizer, pre_tokenizer, decoder = _pipeline(vocabulary.prefix)
    root = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token.id,
                "content": token.text,
                "single_word": False,
                "lstrip": token.lstrip,
                "rstrip": token.rstrip,
                "normalized": False,
                "special": token.hidden,
            }
            for token in vocabulary.special
        ],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": not is_byte,
            "ignore_merges": vocabulary.whole_words,
            "vocab": vocabulary.ids,
            "merges": vocabulary.merges,
        },
        "pocketphi": {
            "add_bos": vocabulary.add_bos,
            "bos_id": vocabulary.bos_id,
            "eos_ids": vocabulary.eos_ids,
            "pad_id": vocabulary.pad_id,
        },
    }
    return json.dumps(root, ensure_ascii=False, separators=(",", ":")).encode()


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_FILE_BYTES:
        _refuse(f"{len(data)} bytes, at most {MAX_FILE_BYTES}")
    if (values := sum(map(data.count, (b",", b":", b"[", b"{")))) > MAX_VALUES:
        _refuse(f"{values} values, at most {MAX_VALUES}")
    try:
        root = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        # ValueError covers bad UTF-8, bad JSON and numbers of thousands of digits.
        raise UserError(f"tokenizer.json: not valid JSON: {str(error)[:120]}") from error
    if not isinstance(root, dict):
        _refuse("not a JSON object")
    return root


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")


def _get(parent: Mapping[str, Any], key: str, kind: type) -> Any:
    value = parent.get(key)
    if type(value) is not kind:  # `is`: a bool is not a number here
        _refuse(f"`{key}` is {'missing' if value is None else type(value).__name__}, not {_TYPES[kind]}")
    return value


def _special_tokens(root: Mapping[str, Any]) -> list[SpecialToken]:
    special = []
    for entry in [] if root.get("added_tokens") is None else _get(root, "added_tokens", list):
        if not isinstance(entry, dict):
            _refuse("`added_tokens` holds something that is not an object")
        flags = [entry.get(name, False) for name in ("special", "lstrip", "rstrip")]
        if any(type(flag) is not bool for flag in flags):
            _refuse("a flag of an added token is not true or false")
        special.append(SpecialToken(_get(entry, "id", int), _get(entry, "content", str), *flags))
    return special


def _tokens(vocab: Mapping[str, Any], special: Sequence[SpecialToken]) -> list[str]:
    """Token texts by id. Added tokens may repeat a token of the vocabulary, under the same id."""
    by_id: dict[int, str] = {}
    if len(vocab) + len(special) > 2 * MAX_TOKENS:
        _refuse(f"{len(vocab)} tokens, at most {MAX_TOKENS}")
    for token, index in [*vocab.items(), *((t.text, t.id) for t in special)]:
        if type(index) is not int or not 0 <= index < MAX_TOKENS:
            _refuse(f"token `{token[:40]!a}` has id {index!s:.40}, allowed are 0 to {MAX_TOKENS - 1}")
        if by_id.setdefault(index, token) != token:
            _refuse(f"id {index} belongs to two tokens, `{by_id[index][:40]!a}` and `{token[:40]!a}`")
    missing = next((index for index in range(len(by_id)) if index not in by_id), None)
    if missing is not None:
        _refuse(f"no token has id {missing}, though higher ids are taken")
    return [by_id[index] for index in range(len(by_id))]


def _merges(entries: list[Any]) -> tuple[tuple[str, str], ...]:
    if len(entries) > MAX_MERGES:
        _refuse(f"{len(entries)} merges, at most {MAX_MERGES}")
    pairs = [entry.split(" ") if type(entry) is str else entry for entry in entries]
    # Kinds are gathered over all pairs at once: this runs at every start, over tens of thousands of them.
    if pairs and not (
        set(map(type, pairs)) == {list}
        and set(map(len, pairs)) == {2}
        and set(map(type, chain.from_iterable(pairs))) == {str}
    ):
        _refuse("`model.merges` holds something that is not a pair of tokens")
    return tuple(map(tuple, pairs))


def _split_rule(root: Mapping[str, Any]) -> str:
    if root.get("normalizer") is not None:
        _refuse(f"normalizer {_brief(root['normalizer'])} is not supported for a byte-level vocabulary")
    rule = rule_of(_steps(root.get("pre_tokenizer"), "pretokenizers"))
    if rule is None:
        _refuse(
            f"the word-splitting rule {_brief(root.get('pre_tokenizer'))} is not one pocketphi knows",
            f"known are the rules of {', '.join(SPLITS)}",
        )
    decoders = [step.get("type") for step in _steps(root.get("decoder"), "decoders")]
    if decoders != ["ByteLevel"]:
        _refuse(f"decoder {_brief(root.get('decoder'))} does not fit a byte-level vocabulary")
    return rule


def _prefix_rule(root: Mapping[str, Any]) -> Prefix:
    """Where text gains a leading space: read from the normalizer (older files) or Metaspace (newer ones)."""
    normalizers = _steps(root.get("normalizer"), "normalizers")
    steps = _steps(root.get("pre_tokenizer"), "pretokenizers")
    rule: Prefix | None = None
    if not steps and normalizers == [_PREPEND, _SPACES]:
        rule = "every"
    elif not steps and normalizers == [_SPACES]:
        rule = "never"
    elif not normalizers and len(steps) == 1 and steps[0].get("type") == "Metaspace":
        plain = steps[0].get("replacement") == SPACE and steps[0].get("split") is False
        scheme = steps[0].get("prepend_scheme")
        rule = next((rule for rule, name in _METASPACE.items() if plain and name == scheme), None)
    if rule is None:
        _refuse(
            f"normalizer {_brief(root.get('normalizer'))} with pre-tokenizer {_brief(root.get('pre_tokenizer'))} "
            "is not one pocketphi knows for a SentencePiece vocabulary"
        )
    decoders = _steps(root.get("decoder"), "decoders")
    ending = decoders[-1:] == [_STRIP]
    body = decoders[:-1] if ending else decoders
    if body != [_UNSPACES, *_BYTES] or ending is (rule == "never"):
        _refuse(f"decoder {_brief(root.get('decoder'))} does not fit its SentencePiece vocabulary")
    return rule


def _pipeline(prefix: Prefix) -> tuple[Any, Any, Any]:
    """(normalizer, pre-tokenizer, decoder) of a SentencePiece vocabulary."""
    decoder = {"type": "Sequence", "decoders": [_UNSPACES, *_BYTES, *([] if prefix == "never" else [_STRIP])]}
    if prefix == "every":
        return {"type": "Sequence", "normalizers": [_PREPEND, _SPACES]}, None, decoder
    if prefix == "never":
        return _SPACES, None, decoder
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": _METASPACE[prefix], "split": False}
    return None, metaspace, decoder


def _bos_of_post_processor(processor: Any) -> str | None:
    """The token that a post-processor puts in front of every text."""
    for step in _steps(processor, "processors"):
        if step.get("type") == "ByteLevel":
            continue
        single = step.get("single")
        if step.get("type") != "TemplateProcessing" or not isinstance(single, list):
            _refuse(f"post-processor {_brief(step)} is not supported")
        names = [
            piece["SpecialToken"].get("id") if isinstance(piece.get("SpecialToken"), dict) else None
            for piece in single
            if isinstance(piece, dict)
        ]
        match names:
            case [None]:
                continue
            case [str(name), None]:
                return name
            case _:
                _refuse(f"post-processor {_brief(step)} adds more than a BOS token")
    return None


def _steps(part: Any, key: str) -> list[dict[str, Any]]:
    """A pipeline part as a flat list: nothing, one step, or a `Sequence` of steps."""
    if part is None:
        return []
    steps = part.get(key) if isinstance(part, dict) and part.get("type") == "Sequence" else [part]
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        _refuse(f"{_brief(part)} is not a pipeline step")
    return steps


class _Names:
    """Which tokens are BOS, EOS and padding: from our own key, then from `tokenizer_config.json`."""

    def __init__(self, own: Any, config: Mapping[str, Any] | None, ids: Mapping[str, int]) -> None:
        self.ids = ids
        self.add_bos: bool | None = None
        self.bos_id: int | None = None
        self.eos_ids: tuple[int, ...] = ()
        self.pad_id: int | None = None
        if own is not None:
            self._take_own(own)
        if config is not None:
            self._take_config(config)

    def _take_own(self, own: Any) -> None:
        if not isinstance(own, dict) or own.keys() != {"add_bos", "bos_id", "eos_ids", "pad_id"}:
            _refuse("`pocketphi` is not an object of add_bos, bos_id, eos_ids and pad_id")
        self.add_bos = _get(own, "add_bos", bool)
        self.bos_id = None if own["bos_id"] is None else _get(own, "bos_id", int)
        self.pad_id = None if own["pad_id"] is None else _get(own, "pad_id", int)
        self.eos_ids = tuple(_get(own, "eos_ids", list))
        if len(self.eos_ids) > 64 or any(type(index) is not int for index in self.eos_ids):
            _refuse("`eos_ids` is not a short list of whole numbers")

    def _take_config(self, config: Mapping[str, Any]) -> None:
        def token_id(key: str) -> int | None:
            value = config.get(key)
            name = value.get("content") if isinstance(value, dict) else value
            if name is None:
                return None
            if not isinstance(name, str) or name not in self.ids:
                raise UserError(f"tokenizer_config.json: `{key}` is {_brief(name)}, which the vocabulary lacks")
            return self.ids[name]

        bos_id, eos_id, pad_id = (token_id(f"{role}_token") for role in ("bos", "eos", "pad"))
        self.bos_id = bos_id if bos_id is not None else self.bos_id
        self.eos_ids = (eos_id,) if eos_id is not None else self.eos_ids
        self.pad_id = pad_id if pad_id is not None else self.pad_id
        if config.get("add_bos_token") is not None:
            self.add_bos = _get(config, "add_bos_token", bool)


def _brief(part: Any) -> str:
    return f"`{reprlib.repr(part)}`"


def _refuse(problem: str, hint: str | None = None) -> NoReturn:
    raise UserError(f"tokenizer.json: {problem}", hint=hint)
