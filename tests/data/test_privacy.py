import random
import time

import pytest

from pocketphi.data.privacy import is_personal, mask_personal_data


@pytest.mark.parametrize(
    "item",
    [
        "anna.berg@example.org", "INFO@SHOP.EXAMPLE.COM", "정보@회사.한국", "+49 30 1234567",
        "+82-10-1234-5678", "(212) 555-0187",
        "212-555-0187", "212.555.0187", "1-800-555-0199", "010-1234-5678", "02-345-6789", "555-0142", "192.168.14.7",
        "4111 1111 1111 1111", "4111-1111-1111-1111", "DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819",
        "123-45-6789",
    ],
)  # fmt: skip
def test_personal_data_is_masked_wherever_it_stands(item: str) -> None:
    for frame in ("{}", "Call {} now.", "({})", "mail: {};", "A {}\nB"):
        masked, count = mask_personal_data(frame.format(item))
        assert count == 1, frame
        assert item not in masked


@pytest.mark.parametrize(
    "text",
    [
        "In 2019-2020 there were 1,234,567 people.", "12 + 345 = 357 and 3.14159265358979", "Version 1.2.3.4.5",
        "10:15-11:45",
        "The score was 3-2, then 21-19.", "ISBN 978-3-16-148410-0", "1234 5678 9012 3456", "Section 4.1.2", "x@y",
        "x = 5550142", "the range 123-4567", "1 kilometre is 1000 metres. 10 x 1000 = 10000.", "1970-01-01T00:00:00",
    ],
)  # fmt: skip
def test_numbers_that_are_no_data_of_a_person_stay(text: str) -> None:
    assert mask_personal_data(text) == (text, 0)


def test_masking_twice_changes_nothing_more() -> None:
    once, _ = mask_personal_data("a@b.com, 212-555-0187, 10.0.0.1, 4111111111111111, 123-45-6789")
    assert mask_personal_data(once)[0] == once


def test_a_list_of_people_is_told_from_a_page_with_an_address() -> None:
    assert is_personal(12, 120)
    assert not is_personal(1, 20)
    assert not is_personal(5, 900)


@pytest.mark.parametrize("piece", ["a.", "1-", "12 ", "@a.", "+1 ", "DE89 ", "4111 "])
def test_a_megabyte_of_almost_matches_takes_linear_time(piece: str) -> None:
    began = time.process_time()
    mask_personal_data(piece * (1_000_000 // len(piece)))
    assert time.process_time() - began < 5


def test_random_text_is_survived() -> None:
    generator = random.Random(0)
    for _ in range(300):
        mask_personal_data("".join(generator.choices("0123456789 -.()+@abDE\n", k=200)))
