"""Personal data: masked where it stands in a text, and a reason to drop a page that is mostly that.

What is found by shape: e-mail addresses, telephone numbers, IPv4 addresses, card numbers (checked by Luhn's sum),
IBANs (checked modulo 97) and US social security numbers. Names and postal addresses have no shape; they are left.
"""

import re

MAX_PER_WORD = 0.04
"""Items a word beyond which a page is a list of people: one in 25 words."""
MIN_ITEMS = 4
"""A short page with one address is a page with an address."""

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,5}[^\W\d_]{2,24}(?![\w-])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_CARD = re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-])")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_IP = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
_PHONE = re.compile(
    r"(?<![\w.,/+-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]\d{2,4}){1,4}|\+\d{8,14}"  # international
    r"|(?:1[ .-])?\(\d{3}\) ?\d{3}[ .-]\d{4}|(?:1[.-])?\d{3}[.-]\d{3}[.-]\d{4}|\(?\d{3}\)? \d{3}-\d{4}"  # North America
    r"|0\d{1,2}-\d{3,4}-\d{4}"  # Korea
    r"|555-\d{4}"  # no code, the form of stories
    r")(?![\w-]|[.,/]\d)"
)

EMAIL, PHONE, IP, CARD, ACCOUNT, NUMBER = (
    "email@example.com", "+1 555 0100", "192.0.2.1", "<card number>", "<account number>", "<personal number>",
)  # fmt: skip
"""What stands in their place; the first three are reserved for examples (RFC 2606, RFC 5737, the 555 exchange)."""


def mask_personal_data(text: str) -> tuple[str, int]:
    """The text without personal data, and how many items there were."""
    text, emails = _EMAIL.subn(EMAIL, text) if "@" in text else (text, 0)
    if not any(character.isdigit() for character in text):
        return text, emails
    checked = 0

    def account(match: re.Match[str]) -> str:
        nonlocal checked
        valid = _is_iban(match.group())
        checked += valid
        return ACCOUNT if valid else match.group()

    def card(match: re.Match[str]) -> str:
        nonlocal checked
        valid = _is_card(match.group())
        checked += valid
        return CARD if valid else match.group()

    text = _CARD.sub(card, _IBAN.sub(account, text))
    count = emails + checked
    for pattern, mask in ((_SSN, NUMBER), (_PHONE, PHONE), (_IP, IP)):
        text, found = pattern.subn(mask, text)
        count += found
    return text, count


def is_personal(items: int, num_words: int) -> bool:
    """Whether a page with so many items is a list of people."""
    return items >= MIN_ITEMS and items > MAX_PER_WORD * num_words


def _is_card(text: str) -> bool:
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit if i % 2 == 0 else sum(divmod(2 * digit, 10)) for i, digit in enumerate(reversed(digits))]
    return len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    bare = text.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in bare[4:] + bare[:4])) % 97 == 1
