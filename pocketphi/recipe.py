"""A recipe: every choice of a run, in one TOML file with one table per stage.

A recipe reads alone: no inheritance, no interpolation; sizes differ by whole files. Tables are frozen and
strict, an unknown key names its nearest neighbour, and every number is checked before any work starts. A
stage gets its own table and the seed, nothing else, so its settings are its digest (`pocketphi.artifact`).

`load_recipe` reads a file; `--set sft.learning_rate=2e-5` overrides one key; `recipe_schema` gives the JSON
schema that editors complete and check with.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pocketphi.architecture import MAX_HEAD_DIM, DecoderConfig, RopeConfig
from pocketphi.errors import UserError, reason_of, shown

Count = Annotated[int, Field(ge=1, le=10**18)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0.0, le=1e9)]


class Table(BaseModel):
    """One table of a recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Primer(Table):
    """What the embedded generator writes (`pocketphi.data.primer`)."""

    web_bytes: Count = 24_000_000
    """HTML pages, good and junk, in bytes."""
    lesson_bytes: Count = 8_000_000
    """Textbook-like lessons, in bytes of text."""
    num_conversations: Count = 8_000
    """Exercises for SFT."""
    num_preferences: Count = 2_000
    """Pairs for DPO."""
    num_questions: Count = 600
    """Held-out questions of each tier."""


class Curate(Table):
    """From pages to a corpus (`pocketphi.data.curate`)."""

    languages: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z]{2}$")], ...], Field(min_length=1)] = ("en", "ko")
    """ISO 639-1 codes that are kept."""
    extractor: Literal["resiliparse", "trafilatura"] = "resiliparse"
    """How text is taken out of HTML: fast, or precise."""
    filter: bool = True
    """False keeps every page that has text and no held-out question: the control."""
    num_hashes: Annotated[int, Field(ge=1, le=4_096)] = 112
    """MinHash values of a document, over words in fives."""
    num_bands: Count = 14
    """Bands of them, of equal size; documents that agree in a whole band are compared."""
    min_similarity: Fraction = 0.7
    """Estimated Jaccard similarity from which two documents are duplicates."""
    min_education: Annotated[float, Field(ge=0.0, le=5.0)] = 2.5
    """Educational value (0 to 5) that a page needs; FineWeb-Edu keeps what rounds to 3."""
    best_fraction: Fraction = 0.3
    """Part of the kept pages, by educational value, that phase 2 reads instead of phase 1."""
    runner: Literal["native", "ray"] = "native"
    """Where Daft works: on this machine, or on the Ray cluster of the environment."""

    @model_validator(mode="after")
    def _bands_are_equal(self) -> "Curate":
        if self.num_hashes % self.num_bands:
            raise UserError(f"`curate.num_bands` {self.num_bands} does not divide `num_hashes` {self.num_hashes}")
        return self


class TokenizerTable(Table):
    """Byte-level BPE with Phi-3's control tokens (`pocketphi.tokenizer.train`)."""

    vocab_size: Annotated[int, Field(ge=320, le=262_144)] = 2_048
    """Control tokens included."""
    max_bytes: Count = 200_000_000
    """Text to learn from, at most."""


class Model(Table):
    """Shape of the decoder, by the published names."""

    model_type: Literal["phi3", "llama"] = "phi3"
    hidden_size: Count
    intermediate_size: Count
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count
    max_position_embeddings: Count = 4096
    original_max_position_embeddings: Count | None = None
    rope_theta: Positive = 10_000.0
    rms_norm_eps: Positive = 1e-5
    sliding_window: Count | None = None
    tie_word_embeddings: bool = False

    def decoder_config(self, vocab_size: int) -> DecoderConfig:
        """The same shape as the rest of the code knows it. Raises `UserError` if it makes no decoder."""
        head_dim, rest = divmod(self.hidden_size, self.num_attention_heads)
        if rest or head_dim % 2 or head_dim > MAX_HEAD_DIM:
            raise UserError(
                f"`num_attention_heads` {self.num_attention_heads} does not divide `hidden_size` {self.hidden_size} "
                f"into heads of an even width up to {MAX_HEAD_DIM}"
            )
        return DecoderConfig(
            model_type=self.model_type,
            vocab_size=vocab_size,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            num_key_value_heads=self.num_key_value_heads,
            rope=RopeConfig(
                head_dim=head_dim,
                rope_theta=self.rope_theta,
                max_position_embeddings=self.max_position_embeddings,
                original_max_position_embeddings=self.original_max_position_embeddings or self.max_position_embeddings,
            ),
            rms_norm_eps=self.rms_norm_eps,
            tie_word_embeddings=self.tie_word_embeddings,
            sliding_window=self.sliding_window,
        )


class Optimizer(Table):
    """What every training stage shares (`pocketphi.train.loop`)."""

    learning_rate: Positive
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` takes the matrices inside the layers; the rest stays with AdamW."""
    schedule: Literal["cosine", "constant_decay"] = "cosine"
    """After the warm-up: a cosine down to `final_fraction`, or constant and a linear fall at the end."""
    warmup_steps: Annotated[int, Field(ge=0, le=10**18)] = 20
    decay_fraction: Fraction = 0.2
    """Part of the steps in which `constant_decay` falls."""
    final_fraction: Fraction = 0.1
    """Learning rate at the end, as a part of the highest."""
    weight_decay: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.1
    beta1: Momentum = 0.9
    beta2: Momentum = 0.95
    max_grad_norm: Positive = 1.0
    precision: Literal["bf16", "fp32"] = "bf16"
    """Autocast; the master weights are fp32 either way."""
    compile: bool = False
    """`torch.compile`: worth it when training takes minutes."""
    accumulate: Count = 1
    """Micro-batches of a step."""
    qat_group: Literal[32, 64, 128] | None = None
    """Quantization-aware training: learn with weights rounded to 4 bits in groups of so many, as `quantize` will."""
    checkpoint_steps: Count = 200
    """Steps between the states that a killed run goes on from."""


class PretrainPhase(Optimizer):
    """One phase of pretraining."""

    mixture: Annotated[dict[Literal["web", "web_best", "lessons"], Share], Field(min_length=1)]
    """Shares of tokens by part of the corpus; they are scaled to sum to 1."""
    max_tokens: Count
    sequence_length: Count = 256
    batch_size: Count = 32
    """Sequences of a step, all micro-batches together."""


class Pretrain(Table):
    """Phases in order; each goes on from the one before."""

    phase1: PretrainPhase
    phase2: PretrainPhase | None = None


class Sft(Optimizer):
    """Supervised fine-tuning on conversations."""

    epochs: Count = 2
    sequence_length: Count = 256
    batch_size: Count = 32


class Dpo(Optimizer):
    """Direct preference optimization (Rafailov et al. 2023, equation 7)."""

    beta: Positive = 0.1
    epochs: Count = 1
    sequence_length: Count = 256
    batch_size: Count = 16


class Evaluate(Table):
    """What is measured after every stage."""

    num_questions: Count = 300
    """Held-out questions of each tier, at most."""
    num_lessons: Count = 100
    """Held-out lessons that are read for their perplexity, at most."""
    max_new_tokens: Count = 96


class Quantize(Table):
    """Rounding to a `.pocket` file."""

    group: Literal[32, 64, 128] = 64
    """Weights that share a scale."""
    embedding_bits: Literal[4, 8, "measured"] = "measured"
    """Embedding and head: measured like all others (where one tensor is both: 8), or as it says here."""
    max_divergence: Positive = 0.005
    """Nats per token that rounding may cost, where calibration text measures it: the matrices that cost most per
    weight get 8 bits until it is met."""


class Cluster(Table):
    """What `pocketphi plan` prices a run on."""

    gpu: str = "H100"
    num_gpus: Count = 512
    peak_flops: Positive = 989e12
    """Dense bf16, per GPU and second."""
    utilization: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    """Model FLOPs that are reached, as a part of the peak."""
    gpu_memory_bytes: Count = 80_000_000_000
    dollars_per_gpu_hour: Positive = 2.5


class Recipe(Table):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1
    folders: tuple[str, ...] = ()
    """Own text, Markdown, HTML and WARC files: folders that join the pages, relative to the recipe's file.
    `--data FOLDER` adds one, relative to the working directory."""
    primer: Primer | None = None
    """Absent: no embedded corpus; then `folders` must name pages, and lessons, SFT and DPO have none."""
    curate: Curate = Curate()
    tokenizer: TokenizerTable = TokenizerTable()
    model: Model
    pretrain: Pretrain
    sft: Sft | None = None
    dpo: Dpo | None = None
    evaluate: Evaluate = Evaluate()
    quantize: Quantize = Quantize()
    cluster: Cluster | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        try:
            config = self.model.decoder_config(self.tokenizer.vocab_size)
        except UserError as error:
            raise UserError(f"table `model`: {error.message}", hint=error.hint) from None
        for name, table in (
            ("pretrain.phase1", self.pretrain.phase1),
            ("pretrain.phase2", self.pretrain.phase2),
            ("sft", self.sft),
            ("dpo", self.dpo),
        ):
            if table is None:
                continue
            if table.sequence_length > config.max_position_embeddings:
                raise UserError(
                    f"`{name}.sequence_length` {table.sequence_length} is more than "
                    f"`model.max_position_embeddings` {config.max_position_embeddings}"
                )
            if table.batch_size % table.accumulate:
                raise UserError(
                    f"`{name}.accumulate` {table.accumulate} does not divide `batch_size` {table.batch_size}"
                )
            if table.qat_group not in (None, self.quantize.group):
                raise UserError(f"`{name}.qat_group` {table.qat_group} is not `quantize.group` {self.quantize.group}")
        if self.dpo is not None and self.sft is None:
            raise UserError("`dpo` needs `sft`: there is no reference model without it")
        if self.primer is None:
            self._fits_without_primer()
        return self

    def _fits_without_primer(self) -> None:
        if not self.folders:
            raise UserError("there is nothing to read: neither a table `primer` nor `folders`")
        for name in ("sft", "dpo"):
            if getattr(self, name) is not None:
                raise UserError(f"`{name}` needs the table `primer`: its conversations are made there")
        for name, phase in (("phase1", self.pretrain.phase1), ("phase2", self.pretrain.phase2)):
            if phase is not None and "lessons" in phase.mixture:
                raise UserError(f"`pretrain.{name}.mixture` has `lessons`, which only the table `primer` makes")


def load_recipe(path: Path, overrides: Sequence[str] = (), folders: Sequence[Path] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: the TOML file.
        overrides: `table.key=value`, the value as TOML writes it (a bare word counts as text).
        folders: join the recipe's own.

    Raises:
        UserError: the file cannot be read, is no TOML, a key is unknown, missing, ill-typed or out of range, or
            a folder is missing.
    """
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise UserError(f"cannot read `{path}`: {reason_of(error)}", hint="check the path") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, no TOML, or thousands of digits or brackets
        raise UserError(f"{path}: not TOML that can be read: {shown(error)}") from None
    for override in overrides:
        _override(tables, override)
    recipe = parse_recipe(_with_places(tables, path.parent, folders), str(path))
    for folder in recipe.folders:
        if not Path(folder).exists():
            raise UserError(f"`{shown(folder, 300)}` does not exist", hint="name a folder of pages or texts")
    return recipe


def _with_places(tables: Mapping[str, Any], beside: Path, folders: Sequence[Path]) -> Mapping[str, Any]:
    """The tables with every folder's place: a recipe's own are beside it, the others where they are."""
    own = tables.get("folders", [])
    if not isinstance(own, list):
        return tables
    placed = [str((beside / folder).resolve()) if isinstance(folder, str) else folder for folder in own]
    return {**tables, "folders": [*placed, *(str(folder.resolve()) for folder in folders)]}


def parse_recipe(tables: Mapping[str, Any], where: str) -> Recipe:
    """Check the tables of a recipe. `where` names them in errors."""
    try:
        # Through JSON mode, so that TOML's arrays become tuples while numbers and texts stay strict.
        return Recipe.model_validate(_with_tuples(tables))
    except ValidationError as error:
        raise _first_problem(error, where) from None
    except UserError as error:
        raise UserError(f"{where}: {error.message}", hint=error.hint) from None
    except RecursionError:
        raise UserError(f"{where}: it nests deeper than any recipe does") from None


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe."""
    return Recipe.model_json_schema()


def settings_of(table: BaseModel) -> dict[str, Any]:
    """A table as JSON values, for `artifact.publish`."""
    return table.model_dump(mode="json")


def _with_tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value


def _override(tables: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name.strip():
        raise UserError(f"`--set {shown(override)}` is not `table.key=value`")
    try:
        value = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    except (ValueError, RecursionError) as error:
        raise UserError(f"`--set {shown(override)}`: {shown(error)}") from None
    *path, key = name.strip().split(".")
    table: Any = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise UserError(f"`--set {shown(override)}`: `{part}` is not a table")
    table[key] = value


def _first_problem(error: ValidationError, where: str) -> UserError:
    problem = error.errors(include_url=False)[0]
    path = shown(".".join(str(part) for part in problem["loc"]))
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(problem["loc"][-1]), _keys_beside(problem["loc"]), n=1, cutoff=0.5)
        return UserError(f"{where}: unknown key `{path}`", hint=f"did you mean `{near[0]}`?" if near else None)
    if problem["type"] == "missing":
        return UserError(f"{where}: `{path}` is missing")
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    return UserError(f"{where}: `{path}` is `{shown(problem['input'])}`: {message}")


def _keys_beside(location: Sequence[int | str]) -> list[str]:
    """The keys that the table of an unknown key has."""
    model: Any = Recipe
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next((item for item in options if isinstance(item, type) and issubclass(item, BaseModel)), None)
        if model is None:
            return []
    return list(model.model_fields)
