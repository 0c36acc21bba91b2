"""How many pages of cached keys a sequence takes, and how many are left.

The budget of pages is fixed, and a step that finds none left fails. So whoever runs several sequences reserves before
it begins: for each the most that it may come to own.
"""

from pocketphi.architecture import DecoderConfig
from pocketphi.runtime.native import NativeEngine


class Pages:
    """Counts the pages of `engine`."""

    def __init__(self, engine: NativeEngine) -> None:
        self.border = longrope_border(engine.model.config)
        """The length beyond which keys turn otherwise."""
        self._engine = engine
        self._positions, self._bytes = engine.page_positions, engine.page_bytes

    @property
    def total(self) -> int:
        """Pages in the budget."""
        return self._engine.page_budget_bytes // self._bytes

    @property
    def free(self) -> int:
        """Pages that are not in use now."""
        return (self._engine.page_budget_bytes - self._engine.pages_in_use_bytes) // self._bytes

    def of(self, length: int) -> int:
        """Pages that so many tokens take."""
        return -(-length // self._positions)

    def own(self, start: int, length: int, *, restarts: bool) -> int:
        """Pages that a fork at `start` owns once it has `length` tokens: full ones stay shared.

        Args:
            restarts: it crosses LongRoPE's border on the way. Beyond, keys turn otherwise, so nothing is shared.
        """
        return self.of(length) - (0 if restarts else start // self._positions)

    def owed(self, start: int, length: int, reserved: int) -> int:
        """Of the pages reserved for a fork at `start` that now has `length` tokens, those that it does not own yet."""
        owned = 0 if length == start else self.of(length) - start // self._positions
        return max(0, reserved - owned)


def longrope_border(config: DecoderConfig) -> int:
    """The length beyond which keys turn otherwise; a model without LongRoPE never comes there."""
    rope = config.rope
    return rope.original_max_position_embeddings if rope.is_long else config.max_position_embeddings
