from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.normalise import content_key, normalise_text, normalise_texts
from finetune_assets.records.redaction import redact


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tom stacked nine blocks.", "tom  stacked\u200b nine\u200d blocks"),
        ("What's this?", "whats this"),
        ("Straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("ﬁne ①", "fine 1"),
        ("first\u2028second\u00a0third\u0085fourth", "first second third fourth"),
        ("“Hello!” she said…", '"hello" she said'),
        ("soft\u00adhyphen", "softhyphen"),
    ],
)
def test_equal_questions_have_equal_text(one: str, other: str) -> None:
    assert normalise_text(one) == normalise_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("raise it by 1.5", "raise it by 15"),
        ("5%", "5"),
        ("$5", "5"),
        ("warm -5 degrees", "warm 5 degrees"),
        ("C++", "C"),
        ("C#", "C"),
        ("at 3:30", "at 330"),
        ("?!", "..."),
        ("pay_bill", "paybill"),
    ],
)
def test_different_questions_stay_different(one: str, other: str) -> None:
    assert normalise_text(one) != normalise_text(other)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise_text(normalise_text(text)) == normalise_text(text)


@given(st.text(alphabet="aB1.,-'’ \u200b\u0301é5%/(", max_size=12))
def test_normalising_twice_changes_nothing_where_signs_meet(text: str) -> None:
    once = normalise_text(text)
    assert normalise_text(once) == once
    assert normalise_text(f"  {text.upper()} ") == normalise_text(text.lower())


def test_key_ignores_style_and_order_of_fields_but_no_content() -> None:
    key = content_key({"notes": "Ana ran.", "age": 40}, ["gs://b/p.jpg"])
    assert key == content_key({"age": 40, "notes": " ana RAN"}, ["gs://b/p.jpg"])
    assert len(key) == 64
    others = [
        content_key({"notes": "Ana ran", "age": 41}, ["gs://b/p.jpg"]),
        content_key({"notes": "Ana ran", "age": "40"}, ["gs://b/p.jpg"]),
        content_key({"notes": "Ana ran", "age": 40}, ["gs://b/P.jpg"]),
        content_key({"notes": "Ana ran", "age": 40}),
        content_key({"text": "Ana ran", "age": 40}, ["gs://b/p.jpg"]),
        content_key({"notes": ["Ana ran"], "age": 40}, ["gs://b/p.jpg"]),
    ]
    assert len({key, *others}) == 7


def test_key_takes_half_characters_of_live_input() -> None:
    assert content_key({"notes": "broken \ud83d"}) != content_key({"notes": "broken"})


def test_nested_texts_are_normalised() -> None:
    assert content_key({"turns": [{"user": "Hi!"}]}) == content_key({"turns": ({"user": "hi"},)})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to jane.doe@example.com now", "write to [e-mail] now"),
        ("call 07700 900123 please", "call [number] please"),
        ("call +44 (0)20 7946 0958", "call [number]"),
        ("born 03/04/2021", "born [date]"),
        ("born 2021-04-03", "born [date]"),
        ("born 3rd April 2021 here", "born [date] here"),
        ("born Apr 3, 2021", "born [date]"),
        ("NHS 943 476 5919", "NHS [number]"),
        ("stacked 9 blocks, 12 beads and 123456 grains", "stacked 9 blocks, 12 beads and 123456 grains"),
    ],
)
def test_redaction(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text(alphabet="ab@. 0123456789/-+()", max_size=40))
def test_redacting_twice_changes_nothing(text: str) -> None:
    assert redact(redact(text)) == redact(text)


ascii_texts = st.text(alphabet="aB1 2-.,'\"_%$\x1c\n()~^|5\x00\\", max_size=12) | st.text(
    alphabet=st.characters(max_codepoint=127)
)


@given(ascii_texts)
def test_ascii_takes_the_short_way_to_the_same_text(text: str) -> None:
    # One character of another script, apart from the rest, sends the whole text the long way.
    long_way = normalise_text(f"\u4e2d {text} \u4e2d").removeprefix("\u4e2d").removesuffix("\u4e2d").strip(" ")
    if any(sign.isalnum() for sign in text):
        assert normalise_text(text) == long_way


@given(st.lists(ascii_texts | st.sampled_from(["", " ", "é", "1.5 kg", "a -5", "-", "5"]), max_size=6))
def test_many_texts_are_normalised_as_each(texts: list[str]) -> None:
    assert normalise_texts(texts) == [normalise_text(text) for text in texts]
