from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.cleaning import CleaningConfig, clean, is_placeholder, looks_double_encoded
from finetune_assets.datasets.html_text import decode_entities, html_to_text
from finetune_assets.datasets.languages import detect_language

ALL = CleaningConfig()


def cleaned(text: str) -> str:
    return clean(text, ALL).text


@pytest.mark.parametrize(
    "text",
    [
        "1.5°C (34.7°F) … +50% … a/b $100",
        "m³ at 10⁶ W/m², CO₂, €5, £3, µg, Ω, ½, 10–20 %",
        "- one\n- two\n  - deeper\n\n1. first\n2. second",
        "if a<b and c>d then x < 5 && y > 3",
        "List<String> and <name> and <b>bold without an end",
        "`<b>x</b>  &amp;` and\n```\n<p>  a &lt; b</p>\n```\nstay",
        "?a=1&copy=2 and AT&T and &foo; and &notit;",
        "नमस्\u200dते",
    ],
)
def test_what_carries_meaning_stays(text: str) -> None:
    assert clean(text, ALL).text == text
    assert not {"html", "entities", "white_space"} & set(clean(text, ALL).changes)


@pytest.mark.parametrize(
    ("text", "expected", "changes"),
    [
        ("What&#39;s CO&lt;sub&gt;2&lt;/sub&gt;?", "What's CO₂?", ("entities", "html")),
        ("1.5&deg;C &times; 2 &amp;lt;", "1.5°C × 2 &lt;", ("entities",)),
        ("a<br><br>b<br/>c", "a\n\nb\nc", ("html",)),
        ("<p>Hi <b>there</b></p><ul><li>x</li><li>y</li></ul>z", "Hi there\n\n- x\n- y\nz", ("html",)),
        ("<ol start='3'><li>c<ul><li>d</li></ul></li></ol>", "3. c\n  - d", ("html",)),
        (
            "10<sup>6</sup> m<sup>-2</sup> x<sup>ab</sup> 1<sup>st</sup> v<sub>max</sub>",
            "10⁶ m⁻² x^(ab) 1st v_max",
            ("html",),
        ),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>1</td></tr></table>", "a | b\n1", ("html",)),
        ("<script>if (a < b) x()</script>hi<!-- note --><style>p {}</style>", "hi", ("html",)),
        ('see <a href="https://x.org/?a=1&b=2" target="_blank">the source</a>.', "see the source.", ("html",)),
        ("2\u202f000\u00a0kWh zero\u200bwidth\ufeff a\u200db", "2 000 kWh zerowidth ab", ("white_space",)),
        ("a  b \r\n\r\n\r\n\r\nc\u2028d\x0c", "a b\n\nc\nd", ("white_space",)),
        ("A\u030a", "Å", ("white_space",)),
        ('(<a href="x" target="_blank") Quelle</a>)', '(<a href="x" target="_blank") Quelle</a>)', ("markup_left",)),
        ("CafÃ© zu 20Â°C", "CafÃ© zu 20Â°C", ("mojibake",)),
    ],
)
def test_dirt_goes_and_is_named(text: str, expected: str, changes: tuple[str, ...]) -> None:
    found = clean(text, ALL)
    assert (found.text, found.changes) == (expected, changes)


def test_options_are_options() -> None:
    dirty = "<b>a</b>\u00a0me@x.org"
    assert clean(dirty, CleaningConfig(html="keep")).text == "<b>a</b> me@x.org"
    assert clean(dirty, CleaningConfig(white_space=False)).text == "a\u00a0me@x.org"
    masked = clean(dirty, CleaningConfig(e_mails="mask"))
    assert masked.text == "a [e-mail]"
    assert masked.changes == ("e_mails", "html", "white_space")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("12 pumps@0.75 kW, 3 eggs@1.50 each", "12 pumps@0.75 kW, 3 eggs@1.50 each"),
        ("mail a.b@c-d.co.uk. Or x@y.museum!", "mail [e-mail]. Or [e-mail]!"),
        ("ü@bücher.example, z@xn--bcher-kva.xn--p1ai", "[e-mail], [e-mail]"),
        ("@home and foo@bar", "@home and foo@bar"),
    ],
)
def test_addresses_are_masked_and_prices_are_not(text: str, masked: str) -> None:
    assert clean(text, CleaningConfig(e_mails="mask")).text == masked


prose = st.text(st.sampled_from("ab1 \n\t-`°%$/\u00a0\u200b\u200d\r<>&;é"), max_size=60)


@given(prose)
def test_white_space_is_cleaned_once(text: str) -> None:
    config = CleaningConfig(html="keep")
    once = clean(text, config).text
    assert clean(once, config).text == once


@given(st.text(max_size=80))
def test_text_without_markup_keeps_its_visible_signs(text: str) -> None:
    plain = text.replace("<", "").replace("&", "").replace("`", "")
    found = clean(plain, ALL).text
    assert not {"html", "entities"} & set(clean(plain, ALL).changes)
    for sign in "°%$/+€²₂":
        assert found.count(sign) == plain.count(sign)


@given(
    st.lists(
        st.sampled_from(["<b>", "</b>", "<", ">", "<br>", "&lt;", "&amp;", "<!--", "-->", "<p", "=", '"', "x ", "\n"])
    )
)
def test_no_markup_breaks_the_parser(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert html_to_text(text).count("x") <= text.count("x")
    assert isinstance(cleaned(text), str)


def test_a_megabyte_of_broken_markup_is_cleaned_in_time() -> None:
    for unit in ("<!--", "<a ", "<a href=", "<b", "&#", "<p><", "<a b='"):
        assert cleaned(unit * 20_000)


def test_entities_are_decoded_once_and_only_whole_ones() -> None:
    assert decode_entities("&deg;&#176;&#xB0;&amp;deg;&deg &nosuch;") == "°°°&deg;&deg &nosuch;"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[PLACEHOLDER - Add actual content]", True),
        ("[PLACEHOLDER answer 12]", True),
        ("The answer is [placeholder].", True),
        ("TODO: ask Ana", True),
        ("Lorem ipsum dolor sit amet", True),
        ("<insert your answer here>", True),
        ("tbd", True),
        ("A placeholder is a sign that keeps a place.", False),
        ("See the [todo] list, then write (add text) x.", False),
        ("Insert the key. Turn it here.", False),
        ("", False),
    ],
)
def test_placeholders(text: str, expected: bool) -> None:
    assert is_placeholder(text) is expected


def test_double_encoded_text_is_told_from_accents() -> None:
    assert looks_double_encoded("KÃ¼che")
    assert not looks_double_encoded("Küche São Paulo Âme")


def test_languages_are_detected_and_short_texts_are_not_guessed() -> None:
    assert detect_language("How much energy does a refrigerator use in a day?") == "en"
    assert detect_language("Wie viel Energie verbraucht ein Kühlschrank am Tag?") == "de"
    assert detect_language("電力の炭素強度とは何ですか。温室効果ガスの排出量です。") == "ja"
    assert detect_language("1 kWh = 3.6 MJ") == "und"
