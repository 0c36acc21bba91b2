import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pocketphi.serve.text import printable

ANY_TEXT = st.text(alphabet=st.characters())  # surrogates too


@pytest.mark.parametrize(
    ("attack", "shown"),
    [
        ("\x1b]52;c;cm0gLXJm\x07", "\\x1b]52;c;cm0gLXJm\\x07"),  # sets the clipboard
        ("\x1b]0;title\x1b\\", "\\x1b]0;title\\x1b\\"),  # renames the window
        (
            "\x1b]8;;http://evil.test\x1b\\here",
            "\\x1b]8;;http://evil.test\\x1b\\here",
        ),  # a link that says something else
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),  # clears the screen
        ("\x9b2J", "\\x9b2J"),  # the same in one byte
        ("safe\rharm", "safe\\x0dharm"),  # overwrites the line
        ("a\b\bb", "a\\x08\\x08b"),
        ("\u202etxt.exe", "\\u202etxt.exe"),  # reads backwards
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(attack, shown):
    assert printable(attack) == shown


@pytest.mark.parametrize("text", ["tab\tand\nline", "naïve 한국어 עברית", "👩‍👩‍👧", "क्‍ष", "e\u0301" * 100])
def test_text_of_every_script_passes_unchanged(text):
    assert printable(text) == text


@given(ANY_TEXT)
def test_nothing_but_line_feed_and_tab_controls_the_terminal(text):
    shown = printable(text)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t"]
    assert printable(shown) == shown


@given(ANY_TEXT, ANY_TEXT)
def test_pieces_print_as_the_whole(first, second):
    assert printable(first) + printable(second) == printable(first + second)
