"""Every engine and any number of workers: the same bytes."""

from __future__ import annotations

import builtins
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.build import build_splits, split_inputs_key
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.engines import line_batches, local, prepared_batches
from finetune_assets.datasets.engines import ray as ray_engine
from finetune_assets.datasets.engines.lines import portion_batches, portions
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.datasets.fake_task import LABELS, FakeTask


class DyingTask(FakeTask):
    """Ends its process at the first record, as a machine out of memory would."""

    def examples(self, record: Any) -> Any:
        os._exit(9)


def config_of(**values: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"source": {"path": "x"}, "split": {"group_fields": ["child"]}, "conflicts": "keep_first", **values}
    )


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """900 records: duplicates, conflicts, one id for two contents, rejections."""
    path = tmp_path / "records.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for n in range(900):
            fields = {
                "id": f"r{n % 890}",
                "text": f"Zoë built {n - n % 7 if n % 11 == 0 else n} towers." if n % 50 else " ",
                "label": LABELS[n % 3],
                "child": n // 3,
            }
            source = {"file": "x.jsonl", "line": n + 1, "row": None, "offset": n}
            out.write(json.dumps({"fields": fields, "source": source}) + "\n")
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def built(records: Path, name: str, **values: Any) -> dict[str, bytes]:
    out = records.parent / name
    out.mkdir()
    build_splits(records, out, FakeTask(), config_of(**values))
    return content_of(out)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """More batches than may be under way at one time."""
    monkeypatch.setattr(ray_engine, "SENT_ROWS", 50)
    monkeypatch.setattr(local, "SENT_BYTES", 7_000)


def test_one_two_and_three_processes_give_the_same_bytes(records: Path) -> None:
    one = built(records, "one")
    assert len(one["quarantine.jsonl"].splitlines()) > 18
    assert one["duplicates.jsonl"]
    assert one["conflicts.jsonl"]
    assert one == built(records, "two", workers=2) == built(records, "three", workers=3)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_ray_gives_the_same_bytes(records: Path, workers: int) -> None:
    ray = pytest.importorskip("ray")
    assert built(records, "ray", engine="ray", workers=workers) == built(records, "local")
    assert not ray.is_initialized(), "the cluster that the build started is stopped"
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


@pytest.mark.slow
def test_a_cluster_that_runs_is_joined_and_left(records: Path) -> None:
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        assert built(records, "ray", engine="ray", workers=2) == built(records, "local")
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_without_ray_the_mend_is_named(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_ray(name: str, *rest: Any) -> Any:
        if name == "ray":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(FinetuneError, match=r"pip install 'finetune_assets\[ray\]'"):
        built(records, "none", engine="ray")


def test_a_killed_worker_is_one_line(records: Path) -> None:
    with pytest.raises(FinetuneError, match=r"worker of the build was killed at dataset.workers.*fewer workers"):
        list(prepared_batches(records, DyingTask(), config_of(workers=2)))


def test_a_mistake_within_a_worker_is_raised_here(records: Path) -> None:
    records.write_bytes(b"{}\n")
    with pytest.raises(KeyError, match="fields"):
        list(prepared_batches(records, FakeTask(), config_of(workers=2)))


def test_batches_are_bounded_in_rows_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = [b"x" * size + b"\n" for size in (1, 1, 1, 900, 1, 2000, 1)]
    path.write_bytes(b"".join(lines))
    batches = list(line_batches(path, rows=3, size=1000))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [line for batch in batches for line in batch] == lines
    assert [len(batch) for batch in line_batches(path, rows=9, size=800)] == [4, 2, 1]
    path.write_bytes(b"")
    assert list(line_batches(path)) == []


@given(
    sizes=st.lists(st.integers(0, 40), max_size=30),
    portion=st.integers(1, 60),
    ended=st.booleans(),
    rows=st.integers(1, 5),
)
def test_portions_hold_every_line_once(sizes: list[int], portion: int, ended: bool, rows: int) -> None:
    content = b"\n".join(b"x" * size for size in sizes) + b"\n" * ended
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lines")
        path.write_bytes(content)
        found = [
            line for place in portions(path, portion) for batch in portion_batches(place, rows=rows) for line in batch
        ]
    assert found == content.splitlines(keepends=True)


def test_nothing_of_the_workers_is_left_behind(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = sorted(tmp_path.iterdir())
    batches = prepared_batches(records, FakeTask(), config_of(workers=2))
    next(batches)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("finetune-lines-")]
    batches.close()  # type: ignore[attr-defined]
    assert sorted(tmp_path.iterdir()) == before


def test_engine_and_workers_are_no_part_of_the_inputs() -> None:
    keys = {
        split_inputs_key("digest", FakeTask(), config_of(**values))
        for values in ({}, {"workers": 3}, {"engine": "ray"}, {"engine": "ray", "workers": 2})
    }
    assert len(keys) == 1
