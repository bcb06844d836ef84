from __future__ import annotations

import errno
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.quarantine import QuarantineWriter
from finetune_assets.datasets.reading.canonical_names import alias_lookup, canonical_fields
from finetune_assets.datasets.reading.ingest import IngestSummary, ingest, source_identity
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import RawRecord
from finetune_assets.storage.errors import StorageError

ALIASES = {"notes": ["notes", "text"], "observation_id": ["id", "observationId"]}


def run(folder: Path, lines: list[str], *, aliases: Any = ALIASES, **values: Any) -> Any:
    """Ingest the lines and return the summary and the records."""
    (folder / "source.jsonl").write_text("\n".join(lines), encoding="utf-8", newline="")
    out = Path(tempfile.mkdtemp(dir=folder))
    summary = ingest(SourceConfig(path="source.jsonl", **values), folder, aliases, out)
    records = [RawRecord.from_json(json.loads(line)) for line in (out / "records.jsonl").read_text().split("\n")[:-1]]
    return summary, records, out


def test_records_have_canonical_names_and_their_place(tmp_path: Path) -> None:
    seen: list[int] = []
    (tmp_path / "source.json").write_text(
        '{"observations": [{"observationId": 7, "text": "Ana ran", "room": "red"}, 5]}'
    )
    out = tmp_path / "out"
    out.mkdir()
    summary = ingest(SourceConfig(path="source.json"), tmp_path, ALIASES, out, on_progress=seen.append)
    size = (tmp_path / "source.json").stat().st_size
    files = [{"name": "source.json", "bytes": size, "rows": 2, "format": "json", "packing": ""}]
    assert summary == IngestSummary(2, 1, 1, {"not_an_object": 1}, files, {})
    assert seen == [2]
    assert json.loads((out / "records.jsonl").read_text()) == {
        "fields": {"observation_id": 7, "notes": "Ana ran", "room": "red"},
        "source": {"file": "source.json", "line": None, "row": 1, "offset": 18},
    }
    assert json.loads((out / "quarantine.jsonl").read_text())["row"] == 2
    assert (out / "quarantine.parquet").exists()


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ({"text": "b", "notes": "a"}, {"notes": "a"}),
        ({"text": "b", "notes": None}, {"notes": "b"}),
        ({"notes": "", "text": "b"}, {"notes": "b"}),
        ({"notes": None, "text": ""}, {"notes": None}),
        ({"notes": 0, "text": "b"}, {"notes": 0}),
        ({" notes ": "a", "x": 1}, {"notes": "a", "x": 1}),
        ({" notes": "a", "notes": "b"}, {"notes": "b"}),
        ({"NOTES": "a", " notes ": "b"}, {"notes": "b"}),
        ({"NOTES": "a", "text": "b"}, {"notes": "b"}),
        ({" notes": "a", "text": "b"}, {"notes": "b"}),
        ({"observation_id": "c", "id": "i"}, {"observation_id": "i"}),
        (
            {"__proto__": {"x": 1}, "__class__": "os", "id": 1},
            {"observation_id": 1, "__proto__": {"x": 1}, "__class__": "os"},
        ),
    ],
)
def test_aliases(raw: dict[str, Any], fields: dict[str, Any]) -> None:
    assert canonical_fields(raw, alias_lookup(ALIASES)) == fields


def test_the_configuration_replaces_a_field_of_the_task_type(tmp_path: Path) -> None:
    (tmp_path / "source.jsonl").write_text('{"beobachtung": "a", "text": "b", "id": 1}')
    config = SourceConfig(path="source.jsonl", aliases={"notes": ["beobachtung"]})
    ingest(config, tmp_path, ALIASES, tmp_path)
    fields = json.loads((tmp_path / "records.jsonl").read_text())["fields"]
    assert fields == {"notes": "a", "observation_id": 1, "text": "b"}


@pytest.mark.parametrize("name", ["synthetic", " synthetic", "Synthetic"])
def test_the_mark_of_synthetic_rows_is_known_however_it_is_spelt(tmp_path: Path, name: str) -> None:
    (tmp_path / "source.csv").write_text(f"id,text,{name}\n1,a,True\n")
    ingest(SourceConfig(path="source.csv"), tmp_path, ALIASES, tmp_path)
    assert json.loads((tmp_path / "records.jsonl").read_text())["fields"]["synthetic"] == "True"


def test_one_name_for_two_fields_is_refused() -> None:
    with pytest.raises(FinetuneError, match="'text' in 'notes' and 'title'"):
        alias_lookup({"notes": ["text"], "title": ["text"]})


def test_a_source_without_a_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source.json").write_text("[]")
    with pytest.raises(FinetuneError, match="holds no record"):
        ingest(SourceConfig(path="source.json"), tmp_path, {}, tmp_path)


def test_notes_speak_of_double_encoded_text(tmp_path: Path) -> None:
    broken = "The child’s café".encode().decode("cp1252")
    summary, records, _ = run(
        tmp_path, [json.dumps({"id": 1, "text": broken}), '{"id": 2, "text": "The child’s café"}']
    )
    assert summary.notes == {"mojibake": 1}
    assert records[0].fields["notes"] == broken


def test_quarantine_is_redacted(tmp_path: Path) -> None:
    _, _, out = run(tmp_path, ['{"id": 1, "text": "call 07700 900123 or jane.doe@example.com", "x": NaN}'])
    shown = (out / "quarantine.jsonl").read_text()
    assert "jane" not in shown
    assert "900123" not in shown
    assert b"900123" not in (out / "quarantine.parquet").read_bytes()


rows = st.one_of(
    st.dictionaries(st.sampled_from(["id", "text", " notes", "x"]), st.text() | st.integers(), max_size=3).map(
        json.dumps
    ),
    st.text(alphabet='{}[]":, \\ue1NaN\u00e9', max_size=12),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(rows, min_size=1, max_size=12))
def test_counts_are_conserved(tmp_path: Path, lines: list[str]) -> None:
    summary, records, out = run(tmp_path, ['{"id": "first"}', *lines])
    assert summary.read == 1 + sum(bool(line.strip(" \t\r")) for line in lines)
    assert summary.read == summary.accepted + summary.quarantined
    assert len(records) == summary.accepted
    assert sum(summary.reasons.values()) == summary.quarantined
    assert (out / "quarantine.jsonl").read_bytes().count(b"\n") == summary.quarantined


def test_identity_knows_content_and_rules_but_no_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_text('{"id": 1}')
    config = SourceConfig(path="a.jsonl")
    one = source_identity(config, tmp_path / "one")
    assert one == source_identity(config, tmp_path / "two")
    assert one == source_identity(SourceConfig(path=str(tmp_path / "one/a.jsonl"), provenance="mine"), tmp_path)
    assert str(tmp_path) not in json.dumps(one)
    assert one != source_identity(SourceConfig(path="a.jsonl", aliases={"id": ["nr"]}), tmp_path / "one")
    (tmp_path / "one" / "a.jsonl").write_text('{"id": 2}')
    assert one != source_identity(config, tmp_path / "one")
    with pytest.raises(FinetuneError, match="missing"):
        source_identity(SourceConfig(path="b.jsonl"), tmp_path)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(QuarantineWriter, "add", full)
    with pytest.raises(StorageError, match="disk is full"):
        run(tmp_path, ["no json"])
