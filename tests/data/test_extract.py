import contextlib
import random
import time

import pytest

from data.pages import LESSON, html, paragraphs, prose
from pocketphi.data.extract import NoText, decode, tidy, to_text
from pocketphi.data.sources import Kind, Page


def text_of(payload: bytes | str, kind: Kind = "html", charset: str | None = None) -> str:
    data = payload.encode() if isinstance(payload, str) else payload
    return to_text(Page(key="k", url="u", kind=kind, payload=data, charset=charset), "resiliparse")


BODY = (
    "<h1>About density</h1>" + paragraphs(LESSON) + "<ol><li>Why does the cork float on the water?</li>"
    "<li>What would happen to the coin in oil?</li></ol>"
    "<table><tr><th>thing</th><th>density</th></tr><tr><td>cork</td><td>0.24</td></tr></table>"
    + paragraphs(LESSON[::1])
)


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_main_content_stays_and_what_is_around_it_goes(extractor: str) -> None:
    page = Page(key="k", url="u", kind="html", payload=html(BODY).encode())
    text = to_text(page, extractor)  # type: ignore[arg-type]
    assert "About density" in text
    assert "To find it, divide the mass by the volume." in " ".join(text.split())
    assert "Why does the cork float" in text
    for gone in ("Home", "Imprint", "secret", "<"):
        assert gone not in text


def test_tables_are_lines_with_cells() -> None:
    lines = text_of(html(BODY)).split("\n")
    assert "cork | 0.24" in lines


def test_notices_and_menus_are_left_out() -> None:
    text = text_of(
        html(paragraphs(LESSON) + "<p>Home | News | Contact</p><p>© 2020 Some Body</p><p>No comments yet</p>")
    )
    assert "News" not in text
    assert "2020" not in text
    assert "comments" not in text


def test_the_charset_is_taken_from_where_it_is_right() -> None:
    word = "Größe 크기"
    assert decode("\ufeffGröße".encode("utf-16-le"), None, is_html=False) == "Größe"
    assert decode(word.encode(), "utf-8", is_html=False) == word
    assert decode("Größe".encode("latin-1"), "iso-8859-1", is_html=False) == "Größe"
    assert decode("한국어".encode("euc-kr"), "euc-kr", is_html=False) == "한국어"
    assert decode(b'<meta charset="euc-kr">' + "한국어".encode("euc-kr"), None, is_html=True).endswith("한국어")
    # Claims that are wrong or unknown are passed over.
    assert decode(word.encode(), "no-such-charset", is_html=False) == word
    assert decode(word.encode(), "ascii\x00", is_html=False) == word
    assert decode("한국어 문장입니다. ".encode("euc-kr") * 20, "utf-8", is_html=False).startswith("한국어")


def test_a_few_bad_bytes_are_replaced_and_many_are_a_reason() -> None:
    text = "한국어 문장이 여기에 있습니다. " * 20
    assert decode(text.encode()[:-3] + b"\xff", "utf-8", is_html=False).count("\ufffd") <= 2
    for junk in (b"\x00\x01\x02\x03" * 500, random.Random(0).randbytes(4000)):
        with pytest.raises(NoText):
            text_of(junk, "text")


@pytest.mark.parametrize("page", ["", "<html></html>", "<script>x</script>", "<p>...</p>", "\n\n---\n"])
def test_a_page_without_text_says_so(page: str) -> None:
    with pytest.raises(NoText, match="no text"):
        text_of(page)


def test_tidy_gives_equal_texts_one_form() -> None:
    assert tidy("a\u0308\r\nb \u200b  c\x07\r\n\n\n\n\nd") == "ä\nb c\n\nd"
    assert tidy("def f():\n    return 1") == "def f():\n    return 1"
    assert tidy("가\u1100\u1161") == "가가"


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 50_000 + LESSON,
        "<b>" * 50_000 + LESSON + "</b>" * 50_000,
        "<table>" * 5_000 + LESSON,
        "<p>" * 100_000 + LESSON,
        html("<div class=comment>" * 300 + ("<p>" + "word " * 100) * 8_000 + "</div>" * 300),
        "<!--" * 50_000 + LESSON,
        html("<li>" * 20_000 + LESSON),
        "&" * 200_000 + LESSON,
        html("".join(f"<p>{n}</p>" for n in range(20_000)) + LESSON),
    ],
    ids=["div", "b", "table", "p", "asides", "comment", "li", "entities", "siblings"],
)
def test_hostile_markup_takes_a_moment(page: str) -> None:
    began = time.process_time()
    with contextlib.suppress(NoText):
        text_of(page)
    assert time.process_time() - began < 8


def test_extraction_never_crashes_on_cut_or_scrambled_pages() -> None:
    generator = random.Random(2)
    whole = html(BODY + paragraphs(prose(generator, 20))).encode()
    for _ in range(200):
        damaged = bytearray(whole[: generator.randrange(1, len(whole))])
        for _ in range(generator.randrange(40)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            text_of(bytes(damaged))
        except NoText:
            continue


@pytest.mark.parametrize(
    "text",
    [" " * 1_000_000 + "x", "x" + " " * 1_000_000, "\t" * 1_000_000, " \t" * 300_000, "a" + "\u0301\u0316" * 200_000],
    ids=["indent", "spaces", "tabs", "both", "marks"],
)
def test_hostile_text_takes_a_moment(text: str) -> None:
    began = time.process_time()
    tidy(text)
    assert time.process_time() - began < 4


def test_tabs_indent_or_part_cells_and_spaces_do_neither() -> None:
    assert tidy("x\n \ty\na \t b   c\t\td") == "x\n     y\na | b c | d"


def test_marks_that_a_script_needs_stay() -> None:
    assert tidy("a\u0323\u0302" * 50) == "\u1ead" * 50
    assert len(tidy("x" + "\u0301" * 90)) == 31


def test_what_is_in_a_removed_element_goes_with_it_and_what_is_beside_it_is_looked_at() -> None:
    comment = "<div class=comment><div class=comment>nested chatter</div> outer chatter</div>"
    text = text_of(html(paragraphs(LESSON) * 3 + comment + "<div class=share>Tell friends</div>"))
    assert "density" in text
    assert "chatter" not in text
    assert "friends" not in text
