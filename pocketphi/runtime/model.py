"""A loaded model: the mapped file, its tokenizer, and an engine to run it.

`pocketphi.load` makes one. Everything else starts here: conversations (`session`), logits, hidden
states. Weights are mapped read-only from the file, so several processes share them.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pocketphi.architecture import expected_tensors
from pocketphi.chat import ChatTemplate, Message, template_by_name
from pocketphi.errors import UserError
from pocketphi.formats.pocket import PocketFile
from pocketphi.packing import WeightFormat
from pocketphi.runtime.abi import Isa, Positions
from pocketphi.runtime.cancel import CancelFlag
from pocketphi.runtime.machine import available_memory
from pocketphi.runtime.memory import cache_bytes_per_position, choose_context, page_budget
from pocketphi.runtime.native import NativeEngine, NativeModel, NativeTensor, ProgressCallback
from pocketphi.runtime.sampling import SamplingOptions
from pocketphi.runtime.session import Session
from pocketphi.tokenizer import Tokenizer

_EMBEDDING = "model.embed_tokens.weight"
_FORMATS = {
    WeightFormat.F32: 0,
    WeightFormat.F16: 1,
    WeightFormat.BF16: 2,
    WeightFormat.Q4: 3,
    WeightFormat.Q4M: 4,
    WeightFormat.Q8: 5,
    WeightFormat.Q8M: 6,
}
"""`pp_format` of the engine's header."""


class Model:
    """Weights, tokenizer, chat settings and an engine.

    Args:
        file: an open `.pocket` file.
        threads: default: the physical cores that this process may use.
        context: positions that one sequence may take; default: what the model knows, or less if
            memory is short. Its cache grows page by page, never ahead of use.
        isa: force an instruction set by name (`scalar`, `avx2`, `avx512`, `amx`), for tests.
        max_batch_tokens: tokens per pass through the layers; 0 for the engine's choice.
        page_budget_bytes: the most that all sessions' caches may take; default: at least one full context.
        activation_bits: 8, or 16 for results near single precision at twice the work (`NativeEngine`).

    Raises:
        UserError: the model does not fit in memory, or an option is out of range.
    """

    def __init__(
        self,
        file: PocketFile,
        *,
        threads: int | None = None,
        context: int | None = None,
        isa: str | None = None,
        max_batch_tokens: int = 0,
        page_budget_bytes: int | None = None,
        activation_bits: int = 8,
    ) -> None:
        available = available_memory()
        self.name = file.path.stem
        self.file = file
        self.config = file.config
        self.context_size, self.memory_plan = choose_context(
            file.config,
            weights_bytes=file.size,
            wanted=context,
            available=available,
            threads=threads,
            pass_tokens=max_batch_tokens,
            activation_bits=activation_bits,
        )
        self.tokenizer = Tokenizer.from_json(file.tokenizer_json)
        if self.tokenizer.vocab_size > file.config.vocab_size:
            raise UserError(
                f"`{file.path}`: the tokenizer has {self.tokenizer.vocab_size} ids, "
                f"the model {file.config.vocab_size} rows",
                hint="import the model again with its own tokenizer",
            )
        self.template = template_by_name(file.chat.template)
        self._native = NativeModel(file.config, _native_tensors(file))
        budget = page_budget(file.config, context=self.context_size, available=available)
        self.engine = NativeEngine(
            self._native,
            num_threads=threads,
            page_budget_bytes=budget if page_budget_bytes is None else page_budget_bytes,
            max_batch_tokens=max_batch_tokens,
            activation_bits=activation_bits,
            isa=_isa(isa),
        )

    @property
    def bos_id(self) -> int | None:
        """The token that every sequence starts with, if the model wants one."""
        return self.file.chat.bos_token_id

    def stop_ids(self, template: ChatTemplate | None = None) -> frozenset[int]:
        """Tokens that end an answer: all that the file names, and the turn ends of `template`."""
        turn_end = () if template is None else template.turn_end
        named = {self.tokenizer.special_ids[name] for name in turn_end if name in self.tokenizer.special_ids}
        return frozenset(self.file.chat.stop_token_ids) | named

    @property
    def cache_bytes_per_position(self) -> int:
        """Bytes of keys and values that one position takes."""
        return cache_bytes_per_position(self.config)

    @property
    def bytes_per_token(self) -> int:
        """Bytes of weights that computing one token reads: all matrices, but of an untied embedding one row."""
        total = sum(tensor.data.nbytes for tensor in self.file.tensors.values())
        embedding = self.file.tensors[_EMBEDDING]
        if self.config.tie_word_embeddings:
            return total
        return total - embedding.data.nbytes + embedding.data.nbytes // embedding.shape[0]

    @property
    def multiply_adds_per_token(self) -> int:
        """Multiply-adds in the layers' matrix products for one token of a prompt; the head is not among them."""
        config, query = self.config, self.config.num_attention_heads * self.config.head_dim
        qkv = query + 2 * config.num_key_value_heads * config.head_dim
        per_layer = config.hidden_size * (qkv + query + 3 * config.intermediate_size)
        return config.num_hidden_layers * per_layer

    def session(
        self,
        *,
        system: str | None = None,
        template: str | None = None,
        sampling: SamplingOptions | None = None,
        messages: Sequence[Message] = (),
    ) -> Session:
        """A new conversation.

        Args:
            system: the system message.
            template: a built-in chat template by name, instead of the file's.
            sampling: how tokens are chosen unless a reply says otherwise; default greedy.
            messages: an earlier conversation to go on with; instead of `system`.
        """
        if messages and system is not None:
            raise UserError(
                "`system` and `messages` exclude each other", hint="put the system message first in `messages`"
            )
        session = Session(
            self,
            template=self.template if template is None else template_by_name(template),
            sampling=SamplingOptions() if sampling is None else sampling,
        )
        session.reset(messages if system is None else [Message("system", system)])
        return session

    def logits(
        self,
        tokens: Sequence[int],
        *,
        cancel: CancelFlag | None = None,
        progress: ProgressCallback | None = None,
    ) -> NDArray[np.float32]:
        """(T, V) logits: row i predicts the token after `tokens[i]`. A fresh sequence; nothing is added.

        Raises:
            UserError: no tokens, too many, or one outside the vocabulary.
        """
        return self._run(tokens, Positions.ALL, Positions.NONE, cancel, progress)

    def hidden(
        self,
        tokens: Sequence[int],
        *,
        cancel: CancelFlag | None = None,
        progress: ProgressCallback | None = None,
    ) -> NDArray[np.float32]:
        """(T, D) hidden states after the final norm. As `logits`."""
        return self._run(tokens, Positions.NONE, Positions.ALL, cancel, progress)

    def close(self) -> None:
        """Free the engine and every session. A second call does nothing."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(
        self,
        tokens: Sequence[int],
        logits: Positions,
        hidden: Positions,
        cancel: CancelFlag | None,
        progress: ProgressCallback | None,
    ) -> NDArray[np.float32]:
        if not 1 <= len(tokens) <= self.context_size:
            raise UserError(f"`{len(tokens)}` tokens", hint=f"give 1 to {self.context_size}")
        with self.engine.session() as session:
            output = session.step(tokens, logits=logits, hidden=hidden, cancel=cancel, progress=progress)
        result = output.logits if hidden is Positions.NONE else output.hidden
        assert result is not None
        return result


def _native_tensors(file: PocketFile) -> list[NativeTensor]:
    """The file's tensors with their shapes in the model: the packed `gate_up_proj` may hold padding rows."""
    shapes = expected_tensors(file.config)
    tensors = []
    for name, tensor in file.tensors.items():
        rows, cols = shapes.get(name, tensor.shape)
        kind = _FORMATS[tensor.format]
        tensors.append(NativeTensor(name=name, data=tensor.data, format=kind, group=tensor.group, rows=rows, cols=cols))
    return tensors


def _isa(name: str | None) -> Isa:
    if name is None:
        return Isa.AUTO
    if str(name).upper() not in Isa.__members__:
        raise UserError(
            f"instruction set `{name}` is unknown", hint=f"choose one of {', '.join(Isa.__members__).lower()}"
        )
    return Isa[name.upper()]
