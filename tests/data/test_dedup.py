import random

import numpy as np
import pytest

from data.pages import prose
from pocketphi.data.dedup import band_keys, digest, find_near_duplicates, minhash, similarity
from pocketphi.data.words import hash_runs, hash_words, words_of

HASHES, BANDS = 112, 14


def noisy(text: str, share: float, generator: random.Random) -> str:
    """A copy in which this share of the words, at least one, is replaced."""
    words = text.split(" ")
    for place in generator.sample(range(len(words)), max(1, int(share * len(words)))):
        words[place] = generator.choice(("stone", "walked", "never", "blue", "seven"))
    return " ".join(words)


def groups_of(texts: dict[str, str]) -> tuple[list[list[str]], dict[str, np.ndarray]]:
    signatures = {name: minhash(text, HASHES) for name, text in texts.items()}
    groups: dict[bytes, list[str]] = {}
    for name, signature in signatures.items():
        for key in band_keys(signature, BANDS):
            groups.setdefault(key, []).append(name)
    return list(groups.values()), signatures


def dropped(texts: dict[str, str], least: float = 0.7) -> dict[str, str]:
    groups, signatures = groups_of(texts)
    return find_near_duplicates(groups, signatures, least)


def test_the_estimate_agrees_with_counting() -> None:
    generator = random.Random(0)
    for share in (0.01, 0.05, 0.2):
        text = prose(generator, 60)
        other = noisy(text, share, generator)
        sets = []
        for each in (text, other):
            words = words_of(each)
            sets.append({tuple(words[n : n + k]) for k in (3, 5) for n in range(len(words) - k + 1)})
        exact = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        # Four standard errors of a mean of 112 draws.
        error = 4 * (exact * (1 - exact) / HASHES) ** 0.5
        assert similarity(minhash(text, HASHES), minhash(other, HASHES)) == pytest.approx(exact, abs=error)


@pytest.mark.parametrize("sentences", [5, 12, 40])
@pytest.mark.parametrize("share", [0.005, 0.01, 0.02])
def test_planted_copies_are_found(sentences: int, share: float) -> None:
    generator = random.Random(f"{sentences} {share}")
    texts = {}
    for number in range(150):
        texts[f"{number:03} a"] = prose(generator, sentences)
        texts[f"{number:03} b"] = noisy(texts[f"{number:03} a"], share, generator)
    found = dropped(texts)
    assert sum(f"{number:03} b" in found for number in range(150)) >= 0.95 * 150
    assert all(name.endswith("b") and kept == name[:-1] + "a" for name, kept in found.items())


def test_the_result_does_not_depend_on_order() -> None:
    generator = random.Random(3)
    texts = {f"{n:02}": prose(generator, 10) for n in range(10)}
    texts |= {f"x{n:02}": noisy(texts[f"{n % 10:02}"], 0.02, generator) for n in range(30)}
    groups, signatures = groups_of(texts)
    expected = find_near_duplicates(groups, signatures, 0.7)
    for _ in range(5):
        generator.shuffle(groups)
        shuffled = [generator.sample(group, len(group)) for group in groups]
        assert find_near_duplicates(shuffled, signatures, 0.7) == expected
    assert not set(expected.values()) & set(expected)


def test_a_chain_of_changes_does_not_collapse() -> None:
    generator = random.Random(4)
    texts = {"000": prose(generator, 20)}
    for number in range(1, 30):
        texts[f"{number:03}"] = noisy(texts[f"{number - 1:03}"], 0.04, generator)
    kept = set(texts) - set(dropped(texts))
    assert "000" in kept
    assert 2 <= len(kept) < 30


def test_equal_words_are_equal_content() -> None:
    assert digest("The cat, the dog!") == digest("the CAT\n the dog")
    assert digest("The cat") != digest("The dog")


@pytest.mark.parametrize("text", ["", "one", "one two", "one two three", "문장 하나", "汉字没有空格"])
def test_texts_of_any_length_have_a_signature(text: str) -> None:
    assert minhash(text, HASHES).shape == (HASHES,)
    assert len(set(band_keys(minhash(text, HASHES), BANDS))) == BANDS


def test_hashes_of_runs_depend_on_the_run_alone() -> None:
    generator = random.Random(5)
    words = [generator.choice("abcdefgh") for _ in range(3000)]
    hashes = hash_words(words)
    for length in (1, 3, 8, 13):
        runs = hash_runs(hashes, length)
        seen: dict[tuple[str, ...], int] = {}
        for place, value in enumerate(runs):
            assert seen.setdefault(tuple(words[place : place + length]), int(value)) == int(value)
        assert len(set(seen.values())) == len(seen)
    assert len(hash_runs(hashes[:2], 3)) == 0
