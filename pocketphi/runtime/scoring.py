"""Log likelihoods of many continuations on the native engine, each context read once.

What contexts begin with in common is computed once (`runtime.prefixes`), and several contexts move forward in one step.
The logits of a context's last token serve the first token of all its continuations, so a choice of one token takes no
step of its own. Longer ones go on together from the context's session and forks of it; nobody computes logits that
nobody asked for.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pocketphi.runtime.abi import Positions
from pocketphi.runtime.backend import ScoreResult
from pocketphi.runtime.native import NativeEngine, StepItem
from pocketphi.runtime.pages import longrope_border
from pocketphi.runtime.prefixes import Leaf, Prefixes
from pocketphi.runtime.sampling import score

Tokens = tuple[int, ...]
_Scored = tuple[NDArray[np.float32], NDArray[np.int32]]
"""(T,) log probabilities of some tokens, and the likeliest ones in their places."""


@dataclass(frozen=True, eq=False)
class _Begun:
    """A continuation whose first token has been scored, and whose others need a step."""

    index: int
    continuation: Tokens
    leaf: Leaf
    first: _Scored


def score_tokens(
    engine: NativeEngine, requests: Sequence[tuple[Tokens, Tokens]], *, batch_size: int
) -> list[ScoreResult]:
    """How likely is each continuation after its context, of one or more tokens? In the order of the requests."""
    results = [ScoreResult(logprob=0.0, num_tokens=0, is_greedy=True)] * len(requests)
    border = longrope_border(engine.model.config)
    by_context: dict[Tokens, list[int]] = {}
    for index, (context, continuation) in enumerate(requests):
        if not continuation:
            continue
        # All tokens turn by the length at the end of a step: where it lies beyond LongRoPE's border and the context
        # does not, the context's own logits are others, and nothing can be shared.
        if len(context) <= border < len(context) + len(continuation) - 1:
            results[index] = _result(continuation, _score_alone(engine, context, continuation))
        else:
            by_context.setdefault(context, []).append(index)
    asked = [[(index, requests[index][1]) for index in indices] for indices in by_context.values()]
    longest = [len(context) + max(len(requests[index][1]) for index in by_context[context]) for context in by_context]
    with Prefixes(engine, list(by_context), [length - 1 for length in longest]) as prefixes:
        while leaves := prefixes.take(batch_size):
            outputs = engine.step([StepItem(session=leaf.session, tokens=leaf.rest) for leaf in leaves])
            begun: deque[_Begun] = deque()
            for leaf, output in zip(leaves, outputs, strict=True):
                assert output.logits is not None
                more = False
                for index, continuation in asked[leaf.index]:
                    first = score(output.logits, continuation[:1])
                    if len(continuation) == 1:
                        results[index] = _result(continuation, first)
                    else:
                        begun.append(_Begun(index, continuation, leaf, first))
                        more = True
                if not more:
                    prefixes.close(leaf.session)
            del outputs
            while begun:
                for each, rest in _go_on(engine, prefixes, begun, batch_size):
                    results[each.index] = _result(each.continuation, each.first, rest)
    return results


def _go_on(
    engine: NativeEngine, prefixes: Prefixes, begun: "deque[_Begun]", batch_size: int
) -> list[tuple[_Begun, _Scored]]:
    """Take some continuations and score what follows their first tokens, in one step.

    The first of a context takes the context's own session, which is rewound or closed behind it: so one continuation at
    a time needs no more room than reading it alone.
    """
    lengths = {leaf: leaf.session.length for leaf in {each.leaf for each in begun}}
    pages = prefixes.pages
    free = pages.free
    batch: list[_Begun] = []
    items: list[StepItem] = []
    while begun and len(batch) < batch_size:
        each = begun[0]
        length, grown = lengths[each.leaf], lengths[each.leaf] + len(each.continuation) - 1
        is_fork = bool(batch) and batch[-1].leaf is each.leaf
        # A continuation that crosses LongRoPE's border never comes here: nothing restarts.
        free -= pages.own(length, grown, restarts=False) if is_fork else pages.of(grown) - pages.of(length)
        if batch and free < 0:
            break
        batch.append(begun.popleft())
        session = prefixes.fork(each.leaf) if is_fork else each.leaf.session
        items.append(StepItem(session=session, tokens=each.continuation[:-1], logits=Positions.ALL))
    outputs = engine.step(items)
    found = []
    for each, item, output in zip(batch, items, outputs, strict=True):
        if item.session is each.leaf.session and begun and begun[0].leaf is each.leaf:
            item.session.rewind(lengths[each.leaf])
        else:
            prefixes.close(item.session)
        assert output.logits is not None
        found.append((each, score(output.logits, each.continuation[1:])))
    return found


def _score_alone(engine: NativeEngine, context: Tokens, continuation: Tokens) -> _Scored:
    """One request in a session of its own: what all the sharing must equal."""
    with engine.session() as session:
        if len(context) > 1:
            session.step(context[:-1], logits=Positions.NONE)
        output = session.step((*context[-1:], *continuation[:-1]), logits=Positions.ALL)
    assert output.logits is not None
    return score(output.logits, continuation)


def _result(continuation: Tokens, *parts: _Scored) -> ScoreResult:
    logprobs, best = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return ScoreResult(
        logprob=float(logprobs.sum(dtype=np.float64)),
        num_tokens=len(continuation),
        is_greedy=bool((best == np.asarray(continuation)).all()),
    )
