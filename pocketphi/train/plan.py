"""What a recipe costs before it runs: arithmetic, memory of each GPU, days and money. Needs no torch.

FLOPs are those that the model needs, two for each multiply-add, forward once and backward twice (a gradient for the
input, one for the weight). Attention is counted by the keys that a query really sees, so half of the square, and less
with a sliding window; embedding rows are looked up, not multiplied; norms, softmax and the optimizer are left out,
being far below one percent. What is computed twice to save memory is no use of the machine and does not count either,
so FLOPs over time and peak is the model FLOPs utilization (Chowdhery et al. 2022, appendix B). That paper, and counters
that know no mask, take attention's whole square; the plan states that figure beside its own.

Memory is for fully sharded data parallel training (Rajbhandari et al. 2020; torch's `fully_shard`) in bfloat16 with
single-precision masters. Post-training is left out: it reads far fewer tokens than one percent of pretraining.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pocketphi.architecture import DecoderConfig, RopeConfig, expected_tensors
from pocketphi.errors import UserError
from pocketphi.packing import WeightFormat, packed_bytes
from pocketphi.recipe import Cluster, PretrainPhase, Recipe

SECONDS_PER_DAY = 86_400
H100_PEAK = 989e12
"""Dense bfloat16 FLOPs per second of an H100 SXM, by its data sheet."""
_LOGITS_AT_ONCE = 1 << 26  # as `model.loss` cuts them
_RESERVED_FRACTION = 0.08  # of a GPU: context, communication buffers, fragments


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Forward and backward of some tokens."""

    matrices: float
    attention: float

    @property
    def total(self) -> float:
        return self.matrices + self.attention


@dataclass(frozen=True, kw_only=True)
class PhasePlan:
    """One phase of pretraining."""

    name: str
    tokens: int
    steps: int
    tokens_per_step: int
    sequence_length: int
    flops: Flops
    flops_of_square: float
    """As counters see it that know no mask: attention over the whole square."""
    days: float | None
    """None without a table `cluster`."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes on each GPU at the hungriest moment, estimated."""

    weights: int
    gradients: int
    optimizer: int
    gathered: int
    """The whole embedding, head and two layers in bfloat16, and a gradient on its way to the others."""
    activations: int
    """If every layer keeps what its backward pass needs."""
    activations_recomputed: int
    """If a layer keeps its input only, and computes the rest again."""

    @property
    def least(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.gathered + self.activations_recomputed

    @property
    def most(self) -> int:
        return self.least - self.activations_recomputed + self.activations


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """A run that its authors reported, and the part of the machine that it must have used."""

    name: str
    tokens: float
    num_gpus: int
    days: float
    flops: float
    utilization: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a recipe costs."""

    name: str
    parameters: int
    phases: tuple[PhasePlan, ...]
    memory: Memory
    cluster: Cluster | None
    recompute: bool | None
    """Whether activations must be computed again to fit; None without a table `cluster`, or if that does not help."""
    fits: bool | None
    accumulate: Mapping[str, int]
    """Where it does not fit: how many micro-batches of each phase would make it fit; empty if none do."""
    shard_bytes: int
    """Token ids on disk, if no token is read twice."""
    checkpoint_bytes: int
    """The model in 16 bits."""
    pocket_bytes: int
    """The model in 4 bits, embedding and head in 8."""
    published: tuple[PublishedRun, ...]

    @property
    def tokens(self) -> int:
        return sum(phase.tokens for phase in self.phases)

    @property
    def flops(self) -> float:
        return sum(phase.flops.total for phase in self.phases)

    @property
    def flops_of_square(self) -> float:
        return sum(phase.flops_of_square for phase in self.phases)

    @property
    def days(self) -> float | None:
        return None if self.cluster is None else sum(phase.days or 0.0 for phase in self.phases)

    @property
    def dollars(self) -> float | None:
        if self.cluster is None or self.days is None:
            return None
        return self.days * 24 * self.cluster.num_gpus * self.cluster.dollars_per_gpu_hour


def make_plan(recipe: Recipe) -> Plan:
    """Work out what a recipe costs.

    Raises:
        UserError: a step has fewer sequences than there are GPUs.
    """
    config = recipe.model.decoder_config(recipe.tokenizer.vocab_size)
    tables = {"phase1": recipe.pretrain.phase1, "phase2": recipe.pretrain.phase2}
    phases = {name: table for name, table in tables.items() if table is not None}
    cluster = recipe.cluster
    memory = _memory(config, phases, cluster.num_gpus if cluster else 1)
    fits = recompute = None
    accumulate: Mapping[str, int] = {}
    if cluster is not None:
        room = cluster.gpu_memory_bytes * (1 - _RESERVED_FRACTION)
        fits = memory.least <= room
        recompute = memory.most > room if fits else None
        if not fits:
            accumulate = _accumulate_to_fit(config, phases, cluster.num_gpus, room)
    plans = tuple(_phase_plan(name, table, config, cluster) for name, table in phases.items())
    return Plan(
        name=recipe.name,
        parameters=num_parameters(config),
        phases=plans,
        memory=memory,
        cluster=cluster,
        recompute=recompute,
        fits=fits,
        accumulate=accumulate,
        shard_bytes=sum(plan.tokens for plan in plans) * (2 if config.vocab_size <= 1 << 16 else 4),
        checkpoint_bytes=2 * num_parameters(config),
        pocket_bytes=_pocket_bytes(config, recipe.quantize.group),
        published=published_runs(),
    )


def num_parameters(config: DecoderConfig) -> int:
    """Every trained number of a decoder."""
    return sum(rows * cols for rows, cols in expected_tensors(config).values())


def mean_visible_keys(sequence_length: int, window: int | None) -> float:
    """How many keys a query sees on average, itself included."""
    full = sequence_length if window is None else min(window, sequence_length)
    # Query t sees t keys up to `full`, then `full` of them.
    return (full * (full + 1) / 2 + (sequence_length - full) * full) / sequence_length


def flops_per_token(config: DecoderConfig, visible_keys: float) -> Flops:
    """Forward and backward of one token whose queries see so many keys."""
    matrices = sum(
        rows * cols
        for name, (rows, cols) in expected_tensors(config).items()
        if rows > 1 and not (name.endswith("embed_tokens.weight") and not config.tie_word_embeddings)
    )
    # Scores, and the sum of values: a multiply-add per key and feature each.
    attention = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * visible_keys
    return Flops(matrices=float(3 * 2 * matrices), attention=3 * 2 * attention)


def published_runs() -> tuple[PublishedRun, ...]:
    """The report's runs (model cards of Phi-3-mini, -medium and Phi-3.5-MoE), all on 512 H100.

    Sequences are taken to be 4,096 long, the models' native context. The mixture of experts is counted by what one
    token passes: two of 16 experts, which are a feed-forward block of twice an expert's width, and the router.
    """
    mini = _published_config(32, 3072, 32, 32, 8192, window=2047)
    medium = _published_config(40, 5120, 40, 10, 17_920, window=2047)
    experts = _published_config(32, 4096, 32, 8, 2 * 6400, window=None)
    router = 32 * 16 * 4096
    reported = (
        ("phi-3-mini, April 2024", mini, 0, 3.3e12, 7.0),
        ("phi-3-mini, June 2024", mini, 0, 4.9e12, 10.0),
        ("phi-3-medium", medium, 0, 4.8e12, 42.0),
        ("phi-3.5-MoE", experts, router, 4.9e12, 23.0),
    )
    runs = []
    for name, config, more, tokens, days in reported:
        per_token = flops_per_token(config, mean_visible_keys(4096, config.sliding_window)).total + 6 * more
        flops = per_token * tokens
        utilization = flops / (512 * days * SECONDS_PER_DAY * H100_PEAK)
        runs.append(
            PublishedRun(name=name, tokens=tokens, num_gpus=512, days=days, flops=flops, utilization=utilization)
        )
    return tuple(runs)


def activation_bytes(config: DecoderConfig, tokens: int, *, recompute: bool) -> int:
    """What the forward pass of some tokens leaves for the backward pass, under bfloat16 autocast.

    With fused norms, and attention by a kernel that keeps no scores.
    """
    hidden, width = config.hidden_size, config.head_dim
    queries, keys = config.num_attention_heads * width, config.num_key_value_heads * width
    layer_input = 4 * hidden  # the residual stream is single precision
    norms = 4 * hidden + 2 * 2 * hidden  # the stream between the two blocks; what both norms give
    attention = 2 * (queries + 2 * keys) + 2 * (queries + keys) + 2 * queries + 4 * config.num_attention_heads
    feed_forward = 2 * 4 * config.intermediate_size  # gate and up, activated gate, their product
    layer = layer_input + norms + attention + feed_forward
    logits = min(tokens * config.vocab_size, _LOGITS_AT_ONCE) * (2 + 4 + 4)  # in bfloat16, widened, and a gradient
    kept = config.num_hidden_layers * (layer_input if recompute else layer) + (layer if recompute else 0)
    return tokens * (kept + 4 * hidden + 2 * hidden) + logits


def _phase_plan(name: str, table: PretrainPhase, config: DecoderConfig, cluster: Cluster | None) -> PhasePlan:
    per_token = flops_per_token(config, mean_visible_keys(table.sequence_length, config.sliding_window))
    flops = Flops(matrices=per_token.matrices * table.max_tokens, attention=per_token.attention * table.max_tokens)
    days = None
    if cluster is not None:
        reached = cluster.num_gpus * cluster.peak_flops * cluster.utilization
        days = flops.total / reached / SECONDS_PER_DAY
    tokens_per_step = table.batch_size * table.sequence_length
    return PhasePlan(
        name=name,
        tokens=table.max_tokens,
        steps=-(-table.max_tokens // tokens_per_step),
        tokens_per_step=tokens_per_step,
        sequence_length=table.sequence_length,
        flops=flops,
        flops_of_square=flops_per_token(config, table.sequence_length).total * table.max_tokens,
        days=days,
    )


def _memory(config: DecoderConfig, phases: Mapping[str, PretrainPhase], num_gpus: int) -> Memory:
    parameters = num_parameters(config)
    tensors = expected_tensors(config)
    inside = sum(rows * cols for name, (rows, cols) in tensors.items() if ".layers." in name)
    layer, around = inside // config.num_hidden_layers, parameters - inside
    tokens = 0
    for name, table in phases.items():
        sequences = table.batch_size // table.accumulate
        if sequences < num_gpus:
            raise UserError(
                f"`pretrain.{name}` has {sequences} sequences at a time for {num_gpus} GPUs: some would idle",
                hint="raise `batch_size`, or lower `accumulate` or `cluster.num_gpus`",
            )
        tokens = max(tokens, -(-sequences // num_gpus) * table.sequence_length)
    # Muon keeps one number for each weight inside the layers, AdamW two.
    by_muon = inside if all(table.optimizer == "muon" for table in phases.values()) else 0
    moments = 2 * parameters - by_muon
    # On one GPU nothing is gathered, but autocast keeps a bfloat16 copy of every weight.
    gathered = 2 * parameters if num_gpus == 1 else 2 * (around + 2 * layer) + 4 * max(around, layer)
    return Memory(
        weights=4 * -(-parameters // num_gpus),
        gradients=4 * -(-parameters // num_gpus),
        optimizer=4 * -(-moments // num_gpus),
        gathered=gathered,
        activations=activation_bytes(config, tokens, recompute=False),
        activations_recomputed=activation_bytes(config, tokens, recompute=True),
    )


def _accumulate_to_fit(
    config: DecoderConfig, phases: Mapping[str, PretrainPhase], num_gpus: int, room: float
) -> dict[str, int]:
    """The fewest micro-batches of each phase, doubled at will, that fit into `room` bytes; empty if none do."""
    choices: dict[str, list[PretrainPhase]] = {}
    for name, table in phases.items():
        counts = [table.accumulate << doublings for doublings in range(64)]
        counts = [count for count in counts if table.batch_size % (count * num_gpus) == 0] or [table.accumulate]
        choices[name] = [table.model_copy(update={"accumulate": count}) for count in counts]
    # The hungriest phase decides, so each is tried beside the others at their leanest.
    leanest = {name: tables[-1] for name, tables in choices.items()}
    if _memory(config, leanest, num_gpus).least > room:
        return {}
    return {
        name: next(
            each.accumulate for each in tables if _memory(config, {**leanest, name: each}, num_gpus).least <= room
        )
        for name, tables in choices.items()
    }


def _pocket_bytes(config: DecoderConfig, group: int) -> int:
    total = 0
    for name, (rows, cols) in expected_tensors(config).items():
        kind = WeightFormat.Q8 if name.endswith(("embed_tokens.weight", "lm_head.weight")) else WeightFormat.Q4
        total += packed_bytes(WeightFormat.F32, 0, rows, cols) if rows == 1 else packed_bytes(kind, group, rows, cols)
    return total


def _published_config(
    layers: int, hidden: int, heads: int, key_value_heads: int, intermediate: int, *, window: int | None
) -> DecoderConfig:
    return DecoderConfig(
        model_type="phi3",
        vocab_size=32_064,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        rope=RopeConfig(head_dim=hidden // heads),
        sliding_window=window,
    )
