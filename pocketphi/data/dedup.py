"""Duplicates: exact ones by digest, near ones by MinHash.

MinHash (Broder 1997) turns the set of runs of words in a text into `num_hashes` minima; two texts agree in a minimum
as often as their sets overlap. Minima are cut into bands, and only texts that agree in a whole band are compared
(Leskovec et al. 2014, section 3.4), with the share of equal minima as the estimate. FineWeb's values are the default:
112 minima in 14 bands of 8.

The runs are words in fives, as there, and in threes as well, because pages of lessons are short: a page of 50 words
with one word changed keeps 41 of 51 fives, so that one in fourteen would slip through; fives and threes together keep
86 of 102, and one in sixty does.

Of texts that are alike the one with the smallest id stays, whatever the order or number of workers. A text goes only
if it is like one that stays, so a chain of ever more different texts does not collapse into one.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pocketphi.data.words import Hashes, hash_runs, hash_words, mix, words_of

RUNS = (3, 5)
_BLOCK = 2_048
_SPREAD = 0x5851F42D4C957F2D
_LARGEST_GROUP = 64
"""In a larger group every text is compared with the first ones only: they are all alike."""

Signature = NDArray[np.uint32]


def digest(text: str) -> bytes:
    """(16 bytes) equal for texts with the same words."""
    return hashlib.blake2b(" ".join(words_of(text)).encode("utf-8", "replace"), digest_size=16).digest()


def minhash(text: str, num_hashes: int) -> Signature:
    """(num_hashes,) minima over the runs of words of a text."""
    hashes = hash_words(words_of(text))
    parts = [hash_runs(hashes, length) + np.uint64(length) for length in RUNS]
    runs = np.unique(np.concatenate(parts)) if len(hashes) >= RUNS[0] else hashes
    factors, shifts = _permutations(num_hashes)
    minima = np.full(num_hashes, 0xFFFFFFFF, dtype=np.uint32)
    for start in range(0, len(runs), _BLOCK):
        # The high half of a 64-bit product is well mixed (multiply-shift, Dietzfelbinger et al. 1997).
        values = (runs[None, start : start + _BLOCK] * factors[:, None] + shifts[:, None]) >> np.uint64(32)
        np.minimum(minima, values.min(axis=1).astype(np.uint32), out=minima)
    return minima


def band_keys(signature: Signature, num_bands: int) -> list[bytes]:
    """One key a band; texts with a common key may be alike."""
    rows = len(signature) // num_bands
    data = signature.astype("<u4").tobytes()
    step = 4 * rows
    return [
        hashlib.blake2b(data[band * step : (band + 1) * step], digest_size=8, salt=band.to_bytes(2, "little")).digest()
        for band in range(num_bands)
    ]


def similarity(one: Signature, other: Signature) -> float:
    """The estimated overlap of two sets of runs, 0 to 1."""
    return float(np.mean(one == other))


def find_near_duplicates(
    groups: Iterable[Sequence[str]], signatures: Mapping[str, Signature], min_similarity: float
) -> dict[str, str]:
    """What is dropped, and what it is like.

    Args:
        groups: ids that share a band, in any order.
        signatures: of every id in a group.

    Returns:
        From each id that is dropped to the smallest id that stays and is like it.
    """
    alike: dict[str, set[str]] = defaultdict(set)
    for group in {tuple(sorted(set(group))) for group in groups}:
        for place, later in enumerate(group):
            for earlier in group[: min(place, _LARGEST_GROUP)]:
                if earlier not in alike[later] and (
                    similarity(signatures[earlier], signatures[later]) >= min_similarity
                ):
                    alike[later].add(earlier)
    dropped: dict[str, str] = {}
    for later in sorted(alike):
        kept = [earlier for earlier in sorted(alike[later]) if earlier not in dropped]
        if kept:
            dropped[later] = kept[0]
    return dropped


@lru_cache(maxsize=4)
def _permutations(num_hashes: int) -> tuple[Hashes, Hashes]:
    steps = np.arange(1, 2 * num_hashes + 1, dtype=np.uint64)
    values = mix(steps * np.uint64(_SPREAD))
    return values[:num_hashes] | np.uint64(1), values[num_hashes:]
