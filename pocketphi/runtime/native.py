"""The engine's handles as Python objects: `NativeModel`, `NativeEngine`, `NativeSession`.

    NativeModel    packed weights of one file, read-only       pp_model
    NativeEngine   worker threads, scratch, KV page pool        pp_engine
    NativeSession  one sequence: its length and cached keys     pp_session

Lifetimes are safe in any order: closing a model closes its engines, closing an engine closes its
sessions, a forgotten object is freed by the garbage collector, and using a closed one raises
`ValueError`, as a closed file does. An engine works for one thread at a time; calls from several
threads wait for each other. While the engine works, Python does too: a `CancelFlag` set by another
thread or by a signal handler ends the step at the next layer.
"""

import ctypes
import weakref
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pocketphi.architecture import DecoderConfig
from pocketphi.errors import UserError
from pocketphi.runtime import abi
from pocketphi.runtime.abi import Isa, Positions
from pocketphi.runtime.cancel import CancelFlag, interruptibly
from pocketphi.runtime.handles import EngineState, ModelState
from pocketphi.runtime.machine import chosen_threads

ProgressCallback = Callable[[int, int], None]
"""Called with tokens done and tokens in all while a long step works; it must not call the engine."""

_NO_PROGRESS = abi.Progress()

LONG_STEP_TOKENS = 16
"""A step above this many tokens runs beside the main thread, so that signals are handled meanwhile."""


@dataclass(frozen=True, kw_only=True)
class NativeTensor:
    """One packed tensor as the engine takes it. `data` (uint8, 64-byte aligned) stays alive with the model."""

    name: str
    data: NDArray[np.uint8]
    format: int
    group: int
    rows: int
    cols: int


class NativeModel:
    """The weights of one model, checked by the engine and shared by its engines.

    Raises:
        UserError: a name, shape, format or byte count does not fit `config`.
    """

    def __init__(self, config: DecoderConfig, tensors: Iterable[NativeTensor]) -> None:
        self.config = config
        given = list(tensors)
        packed = (abi.Tensor * len(given))()
        for slot, tensor in zip(packed, given, strict=True):
            slot.name = tensor.name.encode()
            slot.data = tensor.data.ctypes.data
            slot.num_bytes = tensor.data.nbytes
            slot.format, slot.group = tensor.format, tensor.group
            slot.rows, slot.cols = tensor.rows, tensor.cols
        pointer = ctypes.c_void_p()
        described = _describe(config)
        abi.check(abi.library().pp_model_create(ctypes.byref(described), packed, len(given), ctypes.byref(pointer)))
        self._state = ModelState(pointer.value or 0, [tensor.data for tensor in given])
        self._finalizer = weakref.finalize(self, self._state.free)

    @property
    def state(self) -> ModelState:
        if not self._state.pointer:
            raise ValueError("the model is closed")
        return self._state

    def close(self) -> None:
        """Free the model and every engine on it. A second call does nothing."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, kw_only=True)
class StepItem:
    """One session's share of a step: tokens to append and the outputs wanted."""

    session: "NativeSession"
    tokens: Sequence[int] | NDArray[np.int32]
    logits: Positions = Positions.LAST
    hidden: Positions = Positions.NONE
    expected_length: int = 0
    """The sequence counts as at least this long when LongRoPE's tables are chosen: give the length of a whole prompt
    that is read in several steps."""


@dataclass(frozen=True)
class StepOutput:
    """(1 or T, V) logits and (1 or T, D) hidden states after the final norm, float32, if asked for."""

    logits: NDArray[np.float32] | None
    hidden: NDArray[np.float32] | None


class NativeEngine:
    """Worker threads, scratch memory and the page pool for one model.

    Args:
        model: the weights; kept alive.
        num_threads: default: the physical cores that this process may use.
        page_budget_bytes: the most that cached keys and values of all sessions may take.
        max_batch_tokens: tokens per pass through the layers; changes speed and scratch, never a bit.
        activation_bits: what the inputs of quantized matrices are rounded to. 8: the fast way. 16: two planes of 8
            bits, near single precision, for twice the products; to compare with other runtimes.
        isa: forces an instruction set, for tests.

    Raises:
        UserError: an option is out of range, or this machine lacks `isa`.
    """

    def __init__(
        self,
        model: NativeModel,
        *,
        num_threads: int | None = None,
        page_budget_bytes: int,
        max_batch_tokens: int = 0,
        activation_bits: int = 8,
        isa: Isa = Isa.AUTO,
    ) -> None:
        self.model = model
        self.page_budget_bytes = page_budget_bytes
        self.num_threads = chosen_threads(num_threads)
        if not 0 <= page_budget_bytes < 1 << 63:
            raise UserError(f"`page_budget_bytes` is `{page_budget_bytes}`", hint="give 0 or more")
        if activation_bits not in (8, 16):
            raise UserError(f"`activation_bits` is `{activation_bits}`", hint="give 8 or 16")
        options = abi.EngineOptions(
            struct_size=ctypes.sizeof(abi.EngineOptions),
            isa=isa,
            num_threads=self.num_threads,
            max_batch_tokens=max_batch_tokens,
            page_budget_bytes=page_budget_bytes,
            activation_bits=activation_bits,
        )
        pointer = ctypes.c_void_p()
        owner = model.state
        abi.check(abi.library().pp_engine_create(owner.pointer, ctypes.byref(options), ctypes.byref(pointer)))
        self._state = EngineState(pointer.value or 0, owner)
        owner.engines.append(self._state)
        self._finalizer = weakref.finalize(self, self._state.free)

    @property
    def isa(self) -> Isa:
        with self._state.exclusive():
            engine = self._state.checked()
            return Isa(abi.library().pp_engine_isa(engine))

    @property
    def page_bytes(self) -> int:
        """Bytes of one page of cached keys and values, all layers."""
        with self._state.exclusive():
            engine = self._state.checked()
            return int(abi.library().pp_engine_page_bytes(engine))

    @property
    def page_positions(self) -> int:
        """Positions that one page holds."""
        with self._state.exclusive():
            engine = self._state.checked()
            return int(abi.library().pp_engine_page_positions(engine))

    @property
    def pages_in_use_bytes(self) -> int:
        with self._state.exclusive():
            engine = self._state.checked()
            return int(abi.library().pp_engine_pages_in_use(engine))

    def session(self) -> "NativeSession":
        """A new, empty sequence."""
        pointer = ctypes.c_void_p()
        with self._state.exclusive():
            engine = self._state.checked()
            abi.check(abi.library().pp_session_create(engine, ctypes.byref(pointer)))
            return NativeSession(self, self._state, pointer.value or 0)

    def step(
        self,
        items: Sequence[StepItem],
        *,
        cancel: CancelFlag | None = None,
        progress: ProgressCallback | None = None,
    ) -> list[StepOutput]:
        """Append every item's tokens and compute what it asks for, all in one pass over the weights.

        Sessions must differ. An error leaves the sessions as they were. What a signal handler raises may come
        when the step is done already: `NativeSession.length` tells.

        Raises:
            Cancelled: `cancel` was set.
            UserError: a token or a length is out of range, or the page budget is used up.
        """
        if not items:
            return []
        flag = CancelFlag() if cancel is None else cancel
        failure: list[BaseException] = []
        callback = _NO_PROGRESS if progress is None else _guarded(progress, flag, failure)
        if self._is_long(items):
            return interruptibly(lambda: self._run(items, flag, callback, failure), flag)
        return self._run(items, flag, callback, failure)

    def _is_long(self, items: Sequence[StepItem]) -> bool:
        if sum([len(item.tokens) for item in items]) > LONG_STEP_TOKENS:
            return True
        return self.model.config.rope.is_long and any(item.session.stale(len(item.tokens)) for item in items)

    # Between two tokens the caches hold weights and no Python: each line here costs ten times what it seems to.
    def _run(
        self, items: Sequence[StepItem], flag: CancelFlag, callback: object, failure: list[BaseException]
    ) -> list[StepOutput]:
        with self._state.exclusive():
            engine = self._state.checked()
            slots = (abi.Item * len(items))()
            outputs: list[StepOutput] = []
            kept = []
            for slot, item in zip(slots, items, strict=True):
                tokens = _token_array(item.tokens)
                kept.append(tokens)
                slot.session = item.session.pointer(self)
                slot.tokens, slot.num_tokens = tokens.buffer_info()
                slot.expected_length = item.expected_length
                logits = hidden = None
                if item.logits:
                    rows = 1 if item.logits == Positions.LAST else len(tokens)
                    logits = np.empty((rows, self.model.config.vocab_size), np.float32)
                    slot.logits_positions, slot.logits = item.logits, _address(logits)
                if item.hidden:
                    rows = 1 if item.hidden == Positions.LAST else len(tokens)
                    hidden = np.empty((rows, self.model.config.hidden_size), np.float32)
                    slot.hidden_positions, slot.hidden = item.hidden, _address(hidden)
                outputs.append(StepOutput(logits, hidden))
            status = abi.library().pp_step(engine, slots, len(items), ctypes.byref(flag.word), callback, None)
            del kept
            if not failure:
                abi.check(status)
                return outputs
            if status == abi.Status.OK:  # raised behind the last pass: the step is done, and is taken back
                for slot in slots:
                    length = abi.library().pp_session_length(slot.session) - slot.num_tokens
                    abi.check(abi.library().pp_session_rewind(slot.session, length))
            raise failure[0]

    def close(self) -> None:
        """Free the engine and its sessions. A second call does nothing."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class NativeSession:
    """One sequence and its cached keys and values. Made by `NativeEngine.session` and `fork`."""

    def __init__(self, engine: NativeEngine, state: EngineState, pointer: int) -> None:
        self.engine = engine
        self._state = state
        self._pointer = pointer
        state.sessions.add(pointer)
        self._finalizer = weakref.finalize(self, state.dropped.append, pointer)

    def pointer(self, engine: NativeEngine) -> int:
        """The handle, if it is alive and of `engine`."""
        if self._pointer not in self._state.sessions or not self._finalizer.alive:
            raise ValueError("the session is closed")
        if engine is not self.engine:
            raise ValueError("the session belongs to another engine")
        return self._pointer

    @property
    def length(self) -> int:
        """Tokens in the sequence."""
        with self._state.exclusive():
            self._state.checked()
            return int(abi.library().pp_session_length(self.pointer(self.engine)))

    def stale(self, num_tokens: int) -> int:
        """Tokens whose keys the next step of `num_tokens` recomputes: LongRoPE's border lies between."""
        with self._state.exclusive():
            self._state.checked()
            return int(abi.library().pp_session_stale(self.pointer(self.engine), num_tokens))

    def rewind(self, length: int) -> None:
        """Forget everything from position `length` on."""
        with self._state.exclusive():
            self._state.checked()
            abi.check(abi.library().pp_session_rewind(self.pointer(self.engine), length))

    def fork(self) -> "NativeSession":
        """A second session with the same tokens, which shares the full pages."""
        pointer = ctypes.c_void_p()
        with self._state.exclusive():
            self._state.checked()
            abi.check(abi.library().pp_session_fork(self.pointer(self.engine), ctypes.byref(pointer)))
            return NativeSession(self.engine, self._state, pointer.value or 0)

    def step(
        self,
        tokens: Sequence[int] | NDArray[np.int32],
        *,
        logits: Positions = Positions.LAST,
        hidden: Positions = Positions.NONE,
        cancel: CancelFlag | None = None,
        progress: ProgressCallback | None = None,
    ) -> StepOutput:
        """Append `tokens`; see `NativeEngine.step`."""
        item = StepItem(session=self, tokens=tokens, logits=logits, hidden=hidden)
        return self.engine.step([item], cancel=cancel, progress=progress)[0]

    def close(self) -> None:
        """Free the session. A second call does nothing."""
        if self._finalizer.detach() and self._state.is_open:
            with self._state.exclusive():
                self._state.free_session(self._pointer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _describe(config: DecoderConfig) -> abi.Config:
    rope = config.rope
    return abi.Config(
        struct_size=ctypes.sizeof(abi.Config),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        head_dim=config.head_dim,
        vocab_size=config.vocab_size,
        max_position_embeddings=config.max_position_embeddings,
        original_max_position_embeddings=rope.original_max_position_embeddings if rope.is_long else 0,
        sliding_window=config.sliding_window or 0,
        tie_word_embeddings=int(config.tie_word_embeddings),
        rms_norm_eps=config.rms_norm_eps,
        rope_attention_factor=rope.attention_factor,
    )


def _token_array(tokens: Sequence[int] | NDArray[np.int32]) -> "array[int]":
    """One or more whole numbers as the engine takes them; the engine checks them against the vocabulary."""
    if isinstance(tokens, np.ndarray):
        if tokens.ndim != 1:
            raise ValueError(f"a step takes one or more tokens per session, got shape {tokens.shape}")
        tokens = tokens.tolist()
    try:
        result = array("i", tokens)
    except (TypeError, OverflowError):
        raise UserError("a token is not a whole number, or far outside every vocabulary") from None
    if not result:
        raise ValueError("a step takes one or more tokens per session, got none")
    return result


def _address(rows: NDArray[np.float32]) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(rows.data))


def _guarded(progress: ProgressCallback, cancel: CancelFlag, failure: list[BaseException]) -> object:
    """`progress` as a C callback; an exception in it ends the step and is kept in `failure`."""

    def call(_: object, done: int, total: int) -> None:
        try:
            progress(done, total)
        except BaseException as error:  # noqa: BLE001  nothing may escape into C; `step` raises it again
            failure.append(error)
            cancel.set()

    return abi.Progress(call)
