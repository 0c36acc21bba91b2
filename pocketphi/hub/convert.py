"""Import a model: a GGUF file or a Hugging Face folder becomes one `.pocket` file.

What happens to a weight depends on how it is stored:

- *4 and 8 bit grids* stay as they are. Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are kept exactly; the scales of
  K types are rounded to half precision (`pocketphi.formats.ggml` gives the bound).
- *16 bit* stays 16 bit: bfloat16 and float16 exactly.
- *32 bit* becomes float16, which is 8 times finer than bfloat16 and holds every weight of a trained
  model; only a matrix with a magnitude over 65504 becomes bfloat16.
- *vectors* (norms) become float32.

`bits` rounds every matrix that is stored in more bits to the nearest point of a 4 or 8 bit grid. At 4
bits a tied embedding gets 8 bits in groups of 32: it is the head as well, and its error would enter
every logit. An untied embedding and head get 4 bits like everything else: 8 bits for the two would add
2.6 % to the bytes that Phi-3-mini reads per token and push the file over 1.9 GiB.

How parts of different formats are fused: `pocketphi.quant.pack`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from pocketphi.errors import UserError
from pocketphi.formats.files import sha256_of
from pocketphi.formats.folder_source import open_folder_source
from pocketphi.formats.pocket import write_pocket
from pocketphi.formats.source import Matrix, Source, chat_settings
from pocketphi.hub.gguf_source import open_gguf_source
from pocketphi.packing import WeightFormat, check_group
from pocketphi.quant.pack import EMBEDDING, Form, choose_form, pack_source
from pocketphi.version import __version__


def import_model(
    source: Path,
    out: Path,
    *,
    bits: int | None = None,
    group: int = 64,
    template: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Read a model and write it as a `.pocket` file, whole or not at all.

    Args:
        source: a GGUF file, or a folder with `config.json`, `tokenizer.json` and safetensors weights.
        out: the file to write; replaced if it exists and is no part of the source.
        bits: 4 or 8 to round every matrix that has more; None keeps what the source has.
        group: columns per scale of the rounding.
        template: a built-in chat template by name, instead of the source's.
        progress: called with weights done and weights in all.

    Returns:
        `out`.

    Raises:
        UserError: the source is damaged or not a model that pocketphi runs, or `out` cannot be written.
    """
    if bits not in (None, 4, 8):
        raise UserError(f"`bits` is {bits}, allowed are 4 and 8", hint="leave it out to keep the source's weights")
    if bits is not None:
        check_group(WeightFormat(f"q{bits}"), group)
    model = open_source(source)
    _check_spares(source, out)

    def form_of(name: str, parts: Sequence[Matrix]) -> Form:
        is_tied = name == EMBEDDING and model.config.tie_word_embeddings
        return choose_form([part.form for part in parts], *((8, 32) if is_tied and bits == 4 else (bits, group)))

    rounds = any(
        part.form[0].bits > form_of(name, parts)[0].bits
        for name, parts in model.parts.items()
        if bits is not None and parts[0].shape[0] > 1
        for part in parts
    )
    write_pocket(
        out,
        config=model.config,
        chat=chat_settings(model, template, f"`{source}`"),
        lineage={
            "source": source.absolute().name,
            "sha256": {path.name: sha256_of(path) for path in model.files},
            "importer": f"pocketphi {__version__}",
            "bits": bits if rounds else None,
            "group": group if rounds else None,
        },
        tokenizer_json=model.tokenizer.to_json(),
        tensors=pack_source(model, form_of, where=f"`{source}`", progress=progress),
    )
    return out


def _check_spares(source: Path, out: Path) -> None:
    """Refuse to replace what is being read: a slip of the keyboard must not cost a download."""
    try:
        is_in_folder = source.is_dir() and out.suffix != ".pocket" and out.parent.samefile(source)
        is_part = out.exists() and (is_in_folder or out.samefile(source))
    except OSError:
        return  # writing it will say why
    if is_part:
        raise UserError(f"cannot write `{out}`: it is part of the source", hint="choose another name")


def open_source(path: Path) -> Source:
    """Open a GGUF file or a Hugging Face folder; everything about it is checked but the weights' values."""
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError:
        is_folder = is_file = False  # opening it will say why
    if is_folder:
        return open_folder_source(path)
    if is_file and path.suffix in (".safetensors", ".json"):
        raise UserError(f"`{path}` is one file of a model folder", hint=f"give the folder: `{path.parent}`")
    return open_gguf_source(path)
