"""Digests: equal content has one name, whatever order it comes in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.records.digests import canonical_json, digest_of, digest_of_file, unit_interval

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), values, max_size=6))
def test_key_order_does_not_matter(data: dict[str, object]) -> None:
    assert digest_of(data) == digest_of(dict(reversed(data.items())))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), [float("-inf")]])
def test_what_json_lacks_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(bad)


def test_a_file_is_hashed_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (3 << 20))
    assert digest_of_file(path) == hashlib.sha256(b"x" * (3 << 20)).hexdigest()


@given(st.integers(min_value=0, max_value=(1 << 256) - 1))
def test_the_unit_interval_is_half_open(number: int) -> None:
    assert 0.0 <= unit_interval(f"{number:064x}") < 1.0
