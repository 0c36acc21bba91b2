"""Pages and archives for the tests of curation: written here, in all states of repair."""

import gzip
import random
from collections.abc import Sequence

LESSON = """\
Why does a stone sink while a log floats? It depends on how heavy a thing is for its size. A stone is heavier than
the same amount of water, so it goes down. A log is lighter than the water that it pushes away, and therefore it stays
on top. We call this density. To find it, divide the mass by the volume. For example, a block of 60 grams that fills
20 cubic centimetres has a density of 60 / 20 = 3. Water has a density of 1, and because 3 is more than 1, this block
will sink. Try it at home with a cork, a coin and a piece of soap, and write down what you expect before you look."""

_SMALL = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "it",
    "that",
    "for",
    "with",
    "on",
    "as",
    "by",
    "at",
    "from",
    "his",
    "her",
    "they",
    "was",
    "be",
    "have",
    "near",
    "when",
    "because",
]
_LARGE = [
    first + second
    for first in ("bar", "mel", "ton", "riv", "sand", "gar", "hol", "wint", "cand", "mar", "pel", "stor", "lant", "fen")
    for second in ("er", "ow", "ing", "ed", "le", "en", "ment", "age", "ish", "or", "ly", "ets")
]


def prose(generator: random.Random, sentences: int) -> str:
    """Sentences of words that look like English ones, different from text to text."""
    made = []
    for _ in range(sentences):
        words = [generator.choice(_SMALL if generator.random() < 0.4 else _LARGE) for _ in range(13)]
        made.append(" ".join(words).capitalize() + ".")
    return " ".join(made)


def html(body: str, head: str = "") -> str:
    """A page around a body."""
    return (
        f"<!DOCTYPE html><html><head><title>t</title>{head}<script>var secret = 1;</script></head><body>"
        f"<nav><a href='/'>Home</a> <a href='/b'>About</a></nav><main>{body}</main>"
        "<footer>Imprint of the site</footer></body></html>"
    )


def paragraphs(text: str) -> str:
    """Text as paragraphs of HTML."""
    return "".join(f"<p>{part}</p>" for part in text.split("\n\n"))


def record(
    url: str,
    body: bytes,
    *,
    content_type: str = "text/html; charset=utf-8",
    status: str = "200 OK",
    headers: str = "",
) -> bytes:
    """A WARC response record."""
    http = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{headers}\r\n".encode() + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{abs(hash(url)) % 10**12:012d}>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
    )
    return head.encode() + http + b"\r\n\r\n"


def archive(records: Sequence[bytes]) -> bytes:
    """One gzip member a record."""
    return b"".join(gzip.compress(each, mtime=0) for each in records)
