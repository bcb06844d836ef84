"""The quick decoder against the strict one: the same object, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from finetune_assets.datasets.reading.json_quick import quick_object
from finetune_assets.datasets.reading.json_rows import StrictJson

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
documents = st.builds(
    lambda value, ascii_only: json.dumps(value, ensure_ascii=ascii_only),
    st.dictionaries(st.text(max_size=3), values, max_size=4),
    st.booleans(),
)
TOKENS = """{"a": |{|}|[|]|"a"|"a": |, |: |1|-0|1e400|18446744073709551616|NaN|null|é| |\
"\\u0000"|"\\ud800"|"\\\\"|"\\""|"\\\\\\""|\x01"""
pieces = st.lists(st.sampled_from(TOKENS.split("|")), max_size=12).map("".join)


def strict(raw: bytes, max_nesting: int) -> Any:
    try:
        value, fault = StrictJson(max_nesting).decode_row(raw.decode())
    except UnicodeDecodeError:
        return None
    return value if fault is None else None


@given(raw=(documents | pieces).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=30))
@example(raw=b'{"a": 1, "a": 1}')
@example(raw=b'{"a\\u0062": 1, "ab": 2}')
@example(raw=b'{"a": "\\\\", "a": "\\\\"}')
@example(raw=b'{"a": {"b": "\\"", "b": "\\""}}')
@example(raw=b'{"a": 18446744073709551616}')
@example(raw=b'{"a": -9223372036854775809}')
@example(raw=b'{"a": [[[[1]]]]}')
def test_quick_gives_what_strict_gives_or_nothing(raw: bytes) -> None:
    found = quick_object(raw, max_nesting=4)
    if found is not None:
        expected = strict(raw, 4)
        assert json.dumps(found) == json.dumps(expected)


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', ' {"a": "x\\n\\"y\\"", "b": [1, {"c": null}]}\r', '{"a": "\\\\u0041"}', "{}", '{"é": 1.5e-3}'],
)
def test_usual_rows_need_no_second_look(text: str) -> None:
    assert quick_object(text.encode(), max_nesting=4) == json.loads(text)
