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

_SUBJECTS = ("the farmer", "a teacher", "our neighbour", "the old captain", "a young doctor", "the baker", "her uncle")
_VERBS = ("explains", "describes", "measures", "compares", "counts", "draws", "remembers", "observes", "tests")
_OBJECTS = ("the river", "warm air", "a long rope", "the seeds", "every star", "the market", "cold iron", "a map")
_REASONS = ("because the days grow longer", "so that nothing is lost", "and then writes down the result",
            "since heat makes things larger", "before the rain begins", "which shows how pressure works")  # fmt: skip


def prose(generator: random.Random, sentences: int) -> str:
    """Sentences that differ from text to text."""
    made = (
        f"{generator.choice(_SUBJECTS).capitalize()} {generator.choice(_VERBS)} {generator.choice(_OBJECTS)} "
        f"number {generator.randrange(1000)} {generator.choice(_REASONS)} near {generator.choice(_OBJECTS)}."
        for _ in range(sentences)
    )
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
