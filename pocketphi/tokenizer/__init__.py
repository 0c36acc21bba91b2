"""Text to token ids and back: vocabularies from `tokenizer.json` and GGUF, encoding, streaming decoding."""

from pocketphi.tokenizer.tokenizer import IncrementalDecoder, Tokenizer

__all__ = ["IncrementalDecoder", "Tokenizer"]
