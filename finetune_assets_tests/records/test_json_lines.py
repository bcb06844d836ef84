from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.json_lines import decode_line, decode_lines, encode_line, encode_texts

numbers = st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def same(one: object, other: object) -> bool:
    """Equal in value and in type: 1, 1.0 and True are three things."""
    return repr(one) == repr(other)


@given(values)
def test_a_line_says_what_it_was_given(value: object) -> None:
    assert same(json.loads(encode_line(value)), value)
    assert same(decode_line(encode_line(value)), value)
    assert same(decode_lines([encode_line(value), b"1"]), [value, 1])


@given(texts)
def test_texts_have_the_bytes_of_json(text: str) -> None:
    assert encode_line({text: [text]}) == json.dumps({text: [text]}, ensure_ascii=False, separators=(",", ":")).encode()


@given(st.lists(texts | st.text('",\\\\a', max_size=6), max_size=6))
def test_many_texts_have_the_bytes_of_each(many: list[str]) -> None:
    assert encode_texts(many) == [encode_line(text)[1:-1] for text in many]


def test_half_a_pair_among_many_texts_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_texts(["a", "\ud800"])


@pytest.mark.parametrize(
    "line", ["18446744073709551616", "-9223372036854775809", "1" * 400, '{"a":[123456789012345678901]}', '"\\ud800"']
)
def test_what_orjson_reads_otherwise_is_read_as_json_does(line: str) -> None:
    assert same(decode_line(line.encode()), json.loads(line))
    assert same(decode_lines([b"{}", line.encode()])[1], json.loads(line))


@pytest.mark.parametrize("value", [math.nan, {"a": [1, math.inf, None]}, [(-math.inf,)]])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        encode_line(value)
    assert encode_line({"a": None, "b": 0.5}) == b'{"a":null,"b":0.5}'


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode_line("\ud800")
