from __future__ import annotations

import time

import pytest

from finetune_assets.records.redaction import redact


@pytest.mark.parametrize("text", ["x" * 100_000, "a@" * 50_000, "1 " * 50_000, "jan" * 30_000, "1" + " " * 50_000])
def test_long_texts_take_time_in_proportion(text: str) -> None:
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 1.0


def test_addresses_side_by_side_are_all_found() -> None:
    assert redact("a@b.org+c@d.org,e@f.org") == "[e-mail][e-mail],[e-mail]"
