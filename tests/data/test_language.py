import pytest

from data.pages import LESSON
from data.test_quality import KOREAN
from pocketphi.data.language import MIN_CONFIDENCE, detect_language


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (LESSON, "en"),
        (KOREAN, "ko"),
        ("Water boils at a hundred degrees.", "en"),
        ("민수는 apple 다섯 개를 샀습니다.", "ko"),
        ("Der Hund schläft im Garten, weil die Sonne scheint und es warm ist.", "de"),
        ("Le chat dort sur la chaise parce qu'il fait chaud dans la maison.", "fr"),
        ("これは日本語の文章です。水は冷たいです。", "ja"),
        ("Зимой вода замерзает, потому что воздух становится холодным. Летом лёд тает, и реки снова текут.", "ru"),
    ],
)
def test_languages_are_told_apart(text: str, code: str) -> None:
    found, confidence = detect_language(text)
    assert found == code
    assert confidence >= MIN_CONFIDENCE


def test_text_without_letters_has_no_language() -> None:
    assert detect_language("12 + 30 = 42") == ("und", 0.0)
    assert detect_language("") == ("und", 0.0)
