from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from finetune_assets.datasets.quarantine import REASONS, QuarantineWriter, quarantine_share, safe_rejection
from finetune_assets.records.example import Rejection, SourceRef

SOURCE = SourceRef("a.jsonl", line=3, offset=17)


def test_both_files_say_the_same(tmp_path: Path) -> None:
    with QuarantineWriter(tmp_path) as quarantine:
        for number in range(6_000):
            quarantine.add(
                Rejection("unknown_label", SOURCE, f"r{number}", "label", "Maths", "a label", "mend", "text")
            )
        quarantine.add(Rejection("missing_field", SourceRef("a.json", row=2)))
    lines = [json.loads(line) for line in (tmp_path / "quarantine.jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "quarantine.parquet").to_pylist() == lines
    assert quarantine.reasons == {"unknown_label": 6_000, "missing_field": 1}
    assert quarantine.count == len(lines) == 6_001
    assert lines[0]["line"] == 3
    assert lines[-1]["row"] == 2


def test_an_empty_quarantine_has_both_files_and_all_columns(tmp_path: Path) -> None:
    with QuarantineWriter(tmp_path) as quarantine:
        assert quarantine.count == 0
    assert (tmp_path / "quarantine.jsonl").read_bytes() == b""
    assert pq.read_table(tmp_path / "quarantine.parquet").column_names == list(Rejection("x", SOURCE).to_json())


def test_texts_are_redacted_shortened_and_writable(tmp_path: Path) -> None:
    text = "Call 07700 900123 or jane@example.com \ud83d \0 " + "x" * 2_000
    with QuarantineWriter(tmp_path) as quarantine:
        quarantine.add(Rejection("lone_surrogate", SOURCE, "id\ud83d", "", "jane@example.com", text=text))
    written = (tmp_path / "quarantine.jsonl").read_text()
    assert "07700" not in written
    assert "jane" not in written
    row = json.loads(written)
    assert len(row["text"]) <= 500
    assert row["found"] == "[e-mail]"
    assert pq.read_table(tmp_path / "quarantine.parquet").to_pylist() == [row]


def test_an_address_cut_at_the_bound_is_not_shown() -> None:
    text = "12345678901 " * 82 + "say it to jane.doe@example.com and more"
    assert len("12345678901 " * 82) < 1_000 < len(text)
    assert "jane" not in safe_rejection(Rejection("missing_field", SOURCE, text=text)).text


def test_a_reason_is_one_word(tmp_path: Path) -> None:
    with QuarantineWriter(tmp_path) as quarantine, pytest.raises(ValueError, match="snake_case"):
        quarantine.add(Rejection("Something else", SOURCE))
    assert all(reason.replace("_", "").isalpha() for reason in REASONS)


def test_rows_that_the_configuration_leaves_out_do_not_count() -> None:
    assert quarantine_share(100, {"label_excluded": 50, "unknown_label": 10}) == pytest.approx(0.2)
    assert quarantine_share(50, {"label_excluded": 50}) == 0.0
    assert quarantine_share(0, {}) == 0.0
