"""Encodings of subtitle editors, on sentences of each language."""

from __future__ import annotations

import pytest

from videobert.ingest.captions import decode_text, read_captions

SENTENCES = {
    ("en", "cp1252"): ["It’s a “café” – don’t stir", "Then we’ll chop the onion very finely…",
     "“That’s it,” she said."],
    ("fr", "cp1252"): ["Préchauffez le four à 180 degrés.", "Où est la crème fraîche ?", "Ça y est, c’est prêt !"],
    ("de", "cp1252"): ["Die Zwiebel würfeln und dünsten.", "Das schmeckt großartig, nicht wahr?",
     "Rühren wir das Öl unter."],
    ("es", "cp1252"): ["¿Cuánto tiempo lo dejamos?", "Añadimos el jamón y la piña.", "¡Qué rico está!"],
    ("ru", "cp1251"): ["Нарежьте лук очень мелко.", "Теперь обжарим его на масле.", "Это вкусно, правда?"],
    ("ru", "koi8-r"): ["Нарежьте лук очень мелко.", "Теперь обжарим его на масле.", "Это вкусно, правда?"],
    ("ru", "cp866"): ["Нарежьте лук очень мелко.", "Теперь обжарим его на масле.", "Это вкусно, правда?"],
    ("ru", "iso8859-5"): ["Нарежьте лук очень мелко.", "Теперь обжарим его на масле.", "Это вкусно, правда?"],
    ("cs", "iso8859-2"): ["Cibuli nakrájejte najemno.", "Teď ji osmažíme na oleji.", "Je to výborné, že?"],
    ("uk", "cp1251"): ["Наріжте цибулю дуже дрібно.", "Тепер обсмажимо її на олії.", "Це смачно, чи не так?"],
    ("zh", "gb18030"): ["把洋葱切得很细。", "现在我们用油炒一下。", "把烤箱预热到一百八十度。"],
    ("zh-Hant", "big5"): ["把洋蔥切得很細。", "現在我們用油炒一下。", "把烤箱預熱到一百八十度。"],
    ("ja", "cp932"): ["玉ねぎをとても細かく切ります。", "オーブンを百八十度に予熱します。", "美味しいですよね？"],
    ("ko", "cp949"): ["양파를 아주 잘게 썰어 주세요.", "이제 기름에 볶겠습니다.", "맛있죠, 그렇죠?"],
    ("pl", "cp1250"): ["Pokrój cebulę bardzo drobno.", "Teraz podsmażymy ją na oleju.", "Mieszaj, aż zgęstnieje."],
    ("el", "cp1253"): ["Κόψτε το κρεμμύδι πολύ ψιλά.", "Τώρα το τηγανίζουμε στο λάδι.", "Είναι νόστιμο, έτσι;"],
    ("tr", "cp1254"): ["Soğanı çok ince doğrayın.", "Şimdi yağda kavuracağız.", "Çok lezzetli, değil mi?"],
    ("he", "cp1255"): ["קצצו את הבצל דק מאוד.", "עכשיו נטגן אותו בשמן.", "זה טעים, נכון?"],
    ("ar", "cp1256"): ["قطع البصل ناعما جدا.", "الآن نقليه في الزيت.", "إنه لذيذ، أليس كذلك؟"],
}  # fmt: skip


def _subrip(lines: list[str]) -> str:
    return "".join(
        f"{n}\r\n00:00:{n:02d},000 --> 00:00:{n + 1:02d},000\r\n{line}\r\n\r\n" for n, line in enumerate(lines)
    )


@pytest.mark.parametrize(("language", "encoding"), SENTENCES.keys())
@pytest.mark.parametrize("named", [True, False], ids=["language in the name", "no language"])
def test_code_pages_are_told_by_their_letters(language: str, encoding: str, named: bool) -> None:
    lines = SENTENCES[language, encoding]
    read = read_captions(_subrip(lines).encode(encoding), ".srt", language=language if named else "")
    assert [cue.text for cue in read.cues] == [" ".join(line.split()) for line in lines]
    assert not read.encoding.startswith("utf")


@pytest.mark.parametrize(("language", "encoding"), SENTENCES.keys())
def test_with_the_language_in_the_name_one_sentence_is_enough(language: str, encoding: str) -> None:
    for line in SENTENCES[language, encoding]:
        text, _ = decode_text(_subrip([line]).encode(encoding), language=language)
        assert line in text


def test_a_wrong_byte_does_not_make_another_encoding_of_utf_8() -> None:
    data = "Нарежьте лук. ".encode() * 20 + b"\xff" + "Обжарим его.".encode()
    text, encoding = decode_text(data)
    assert encoding == "utf-8" and text.count("\ufffd") == 1 and "Обжарим" in text
    text, encoding = decode_text("Нарежьте лук".encode()[:-1])
    assert encoding == "utf-8" and text.startswith("Нарежьте лу")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("the on\u00adion and the to\u200bmato", "the onion and the tomato"), ("a\u2060b\ufeffc", "abc"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\U0001f468\u200d\U0001f373", "\U0001f468\u200d\U0001f373"), ("\u200d a \u200c", "a"),
         ("\u202bab\u202c c", "ab c"),
        ("a\u00a0b\u2003c\u3000d", "a b c d"), ("a\u0007b\u2028c", "a b c"),
    ],
)  # fmt: skip
def test_what_has_no_width_splits_no_word(said: str, expected: str) -> None:
    (cue,) = read_captions(f"WEBVTT\n\n00:00.000 --> 00:01.000\n{said}\n".encode(), ".vtt").cues
    assert cue.text == expected
