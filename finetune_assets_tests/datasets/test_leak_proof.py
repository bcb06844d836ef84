"""Leaks, memory and byte-identity of whole builds."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.build import SplitSummary, build_splits, split_inputs_key
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.normalise import normalise_text
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.split_files import read_assignments, read_near_pairs, read_rows
from finetune_assets.datasets.splitting.certificate import certificate_table
from finetune_assets.datasets.splitting.leakage import measure_leakage
from finetune_assets.datasets.splitting.near_duplicates_recall import plant
from finetune_assets.records.example import Example, RawRecord, Rejection
from finetune_assets.records.similarity import FixedWording, jaccard, shingles
from finetune_assets_tests.datasets.fake_task import LABELS, FakeTask

Row = dict[str, Any]
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
NO_WORDING = FixedWording("")
OFFICIAL = {"official": {"field": "part", "use": "honour"}}


@dataclass(frozen=True)
class OriginTask(FakeTask):
    """A task whose records say how they came about."""

    def example(self, record: RawRecord) -> Example | Rejection:
        found = super().example(record)
        return found if isinstance(found, Rejection) else replace(found, origin=record.fields.get("origin", "observed"))


def config_of(**values: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({"source": {"path": "source.jsonl"}, "render": {"formats": ["chat"]}, **values})


def build(
    folder: Path, rows: list[Row], *, previous: Path | None = None, limit: int = 0, **values: Any
) -> tuple[SplitSummary, Path]:
    """Ingest and build the rows in a new folder."""
    home = Path(tempfile.mkdtemp(dir=folder))
    (home / "source.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config, task = config_of(**values), OriginTask()
    raw, out = home / "raw", home / "splits"
    raw.mkdir()
    out.mkdir()
    ingest(config.source, home, task.aliases, raw)
    summary = build_splits(raw / "records.jsonl", out, task, config, previous=previous, limit=limit)
    whole = summary.accepted + summary.quarantined + summary.duplicates + summary.outside_limit
    assert summary.read == whole == len(rows)
    return summary, out


def prose(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    syllables = ["ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "wa"]
    vocabulary = ["".join(draw.choices(syllables, k=draw.randint(2, 4))) for _ in range(800)]
    return [" ".join(draw.choices(vocabulary, k=draw.randint(8, 20))) for _ in range(count)]


def observations(texts: list[str], **more: Any) -> list[Row]:
    return [{"id": f"r{n}", "text": text, "label": LABELS[n % 3], **more} for n, text in enumerate(texts)]


def places_of(out: Path) -> dict[str, str]:
    return {row["record_id"]: row["split"] for row in read_rows(out)}


def certificate_of(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "certificate.json").read_text())
    return found


def planted_leaks(count: int, seed: int) -> tuple[list[Row], dict[str, list[tuple[str, str]]]]:
    """Return rows with planted leaks, and the pairs of record ids by the kind of their leak."""
    texts = prose(3 * count, seed)
    rows = observations(texts)
    leaks: dict[str, list[tuple[str, str]]] = {"exact": [], "group": [], "near": []}
    for number in range(count):
        rows.append({**rows[number], "id": f"e{number}", "text": texts[number].upper() + " !"})
        leaks["exact"].append((f"r{number}", f"e{number}"))
    for number in range(count, 2 * count):
        rows[number]["child"] = rows[number + count]["child"] = number
        leaks["group"].append((f"r{number}", f"r{number + count}"))
    near = plant(list(enumerate(texts))[2 * count :], threshold=0.8, size=4, most=count, seed=seed)
    for number, pair in enumerate(near):
        rows.append({"id": f"n{number}", "text": pair.text, "label": LABELS[number % 3]})
        leaks["near"].append((f"r{pair.origin}", f"n{number}"))
    random.Random(seed).shuffle(rows)
    return rows, leaks


def check_planted_leaks(folder: Path, count: int, seed: int) -> None:
    rows, leaks = planted_leaks(count, seed)
    summary, out = build(folder, rows, split={"group_fields": ["child"]})
    assert summary.duplicates == len(leaks["exact"])
    places = places_of(out)
    missed = {
        kind: sum(one in places and other in places and places[one] != places[other] for one, other in pairs)
        for kind, pairs in leaks.items()
    }
    assert (missed["exact"], missed["group"]) == (0, 0)
    assert missed["near"] <= 0.005 * len(leaks["near"])
    # Of equal rows one stays: no text stands twice.
    texts = Counter(normalise_text(row["messages"][-1]["content"]) for row in read_rows(out))
    assert max(texts.values()) == 1
    found = {frozenset(pair[:2]) for pair in read_near_pairs(out)}
    key_of = {row["record_id"]: row["content_key"] for row in read_rows(out)}
    both = [(one, other) for one, other in leaks["near"] if one in key_of and other in key_of]
    assert len(both) > 0.95 * count
    assert sum(frozenset([key_of[one], key_of[other]]) in found for one, other in both) >= 0.995 * len(both)
    leakage = measure_leakage(out, config_of().split, NO_WORDING)
    assert (leakage.key_overlap, leakage.group_overlap, leakage.near_overlap) == (0, 0, 0)
    stated = certificate_of(out)["near_duplicates"]["largest_cross_split_similarity"]
    assert stated == (None if leakage.largest_similarity is None else round(leakage.largest_similarity, 6))


def test_planted_leaks_do_not_leak(tmp_path: Path) -> None:
    check_planted_leaks(tmp_path, count=300, seed=1)


@pytest.mark.soak
def test_30000_planted_leaks_do_not_leak(tmp_path: Path) -> None:
    check_planted_leaks(tmp_path, count=10_000, seed=2)


BASE = prose(12, seed=5)
NEAR = [pair.text for pair in plant(list(enumerate(BASE * 3)), threshold=0.8, size=4, most=36)]
POOL = list(dict.fromkeys(BASE + NEAR))
growing = st.lists(
    st.tuples(st.integers(0, len(POOL) - 1), st.sampled_from([None, None, 1, 2, 3]), st.integers(0, 2)),
    min_size=4,
    max_size=40,
    unique_by=lambda row: row[0],
)


@FEW
@given(growing, st.lists(st.integers(1, 39), max_size=3), st.randoms(use_true_random=False))
def test_growing_in_any_order_and_steps_moves_none_and_leaks_none(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int | None, int]], cuts: list[int], draw: Any
) -> None:
    folder = tmp_path_factory.mktemp("growing")
    records = [
        {"id": f"p{text}", "text": POOL[text], "label": LABELS[label], **({} if child is None else {"child": child})}
        for text, child, label in rows
    ]
    draw.shuffle(records)
    split = {"group_fields": ["child"], "train": 0.5, "validation": 0.25, "test": 0.25}
    previous, before = None, {}
    for end in [*sorted({cut for cut in cuts if cut < len(records)}), len(records)]:
        summary, out = build(folder, draw.sample(records[:end], end), previous=previous, split=split)
        places = places_of(out)
        assert {record: places.get(record) for record in before} == before
        assert "tied_across_splits" not in summary.reasons
        leakage = measure_leakage(out, config_of(split=split).split, NO_WORDING)
        assert (leakage.key_overlap, leakage.group_overlap, leakage.near_overlap) == (0, 0, 0)
        assert true_leaks(out) == 0
        previous, before = out / "assignments.jsonl", places
    _, out = build(folder, records, previous=previous, split=split)
    assert previous is not None
    assert (out / "assignments.jsonl").read_bytes() == previous.read_bytes()
    assert places_of(out) == before


def true_leaks(out: Path) -> int:
    """Compare all rows with all others."""
    rows = [(row["split"], shingles(normalise_text(row["messages"][-1]["content"]), 4)) for row in read_rows(out)]
    return sum(
        one[0] != other[0] and jaccard(one[1], other[1]) >= 0.8 for n, one in enumerate(rows) for other in rows[:n]
    )


def test_a_new_row_alike_to_two_splits_is_set_aside_and_moves_neither(tmp_path: Path) -> None:
    left, right = "a red kite flew over the quiet harbour", "at noon while the small boats were coming home"
    middle = f"{left} {right}"
    ends = [f"{middle} again", f"and {middle}"]
    config = {"near_duplicates": {"threshold": 0.9}, "train": 0.5, "validation": 0.0, "test": 0.5}
    sets = [shingles(text, 4) for text in (*ends, middle)]
    assert jaccard(sets[0], sets[1]) < 0.9 <= min(jaccard(sets[0], sets[2]), jaccard(sets[1], sets[2]))
    first = [{"id": str(n), "text": text, "label": LABELS[0]} for n, text in enumerate(ends)]
    _, out = build(tmp_path, first, split=config)
    before = places_of(out)
    assert set(before.values()) == {"train", "test"}
    new = [{"id": "new", "text": middle, "label": LABELS[0]}]
    summary, grown = build(tmp_path, first + new, previous=out / "assignments.jsonl", split=config)
    assert places_of(grown) == before
    assert summary.reasons == {"would_tie_splits": 1}
    # A lower threshold ties the old rows: training keeps its row, the evaluation loses its own.
    looser = {**config, "near_duplicates": {"threshold": 0.8}}
    summary, looser_out = build(tmp_path, first, previous=out / "assignments.jsonl", split=looser)
    assert summary.reasons == {"tied_across_splits": 1}
    assert set(places_of(looser_out).values()) == {"train"}


def test_without_the_search_nothing_but_equal_content_ties(tmp_path: Path) -> None:
    rows, _ = planted_leaks(60, seed=3)
    _, out = build(tmp_path, rows, split={"near_duplicates": {"enabled": False}})
    assert certificate_of(out)["near_duplicates"] == {"searched": False}
    assert "not searched" in certificate_table(certificate_of(out))
    assert list(read_near_pairs(out)) == []
    assert true_leaks(out) > 0
    leakage = measure_leakage(out, config_of().split, NO_WORDING)
    assert leakage.near_overlap == true_leaks(out)
    assert {failure["field"] for failure in leakage.failures} == {"messages"}


def test_synthetic_rows_never_reach_an_evaluation(tmp_path: Path) -> None:
    texts = prose(200, seed=7)
    copies = plant(list(enumerate(texts)), threshold=0.8, size=4, most=60)
    made = [
        {"id": f"s{n}", "text": pair.text, "label": LABELS[pair.origin % 3], "origin": "synthetic"}
        for n, pair in enumerate(copies)
    ]
    # The same words as an observed row: the observed row stays, wherever it stands in the file.
    made.append({"id": "twin", "text": texts[100].upper(), "label": LABELS[100 % 3], "origin": "synthetic"})
    observed = observations(texts)
    _, alone = build(tmp_path, observed)
    summary, out = build(tmp_path, made + observed)
    places = places_of(out)
    assert {name: split for name, split in places.items() if name.startswith("r")} == places_of(alone)
    assert all(split == "train" for name, split in places.items() if name.startswith("s"))
    tied = {f"s{n}" for n, pair in enumerate(copies) if places[f"r{pair.origin}"] != "train"}
    assert {name for name in (row["id"] for row in made[:-1]) if name not in places} >= tied
    assert summary.reasons["synthetic_tied_to_evaluation"] >= len(tied) > 0
    assert summary.duplicates == 1
    assert measure_leakage(out, config_of().split, NO_WORDING).synthetic_in_evaluation == 0


def test_a_synthetic_row_in_an_evaluation_is_found(tmp_path: Path) -> None:
    _, out = build(tmp_path, observations(prose(60, seed=8)))
    path = out / "examples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if line.startswith('{"split":"test"'))
    lines[place] = lines[place].replace('"origin":"observed"', '"origin":"synthetic"')
    path.write_text("".join(lines))
    leakage = measure_leakage(out, config_of().split, NO_WORDING)
    assert leakage.synthetic_in_evaluation == 1
    assert leakage.failures[0]["field"] == "origin"


def test_copies_of_training_rows_are_no_near_duplicates_of_evaluation_rows(tmp_path: Path) -> None:
    names = ["anna ran", "bruno swam", "carla rode", "dmitri flew", "elena drove"]
    asked = [{"id": f"a{n}", "text": f"who {name} to the mill?", "part": "train"} for n, name in enumerate(names)]
    # Alike to a training row with a prefix, and not to the row itself.
    tests = [
        {"id": f"t{n}", "text": f"tell me who {name} to the mills", "part": "test"} for n, name in enumerate(names)
    ]
    rows = [{**row, "label": LABELS[0]} for row in asked + tests[:3]]
    augment = {"factor": 1, "methods": ["question_prefix"], "prefixes": ["Tell me: "]}
    summary, out = build(tmp_path, rows, split=OFFICIAL, augment=augment)
    assert summary.splits == {"train": 5 + 2, "validation": 0, "test": 3}
    assert measure_leakage(out, config_of().split, NO_WORDING).near_overlap == 0


def test_official_splits_are_honoured_as_far_as_they_do_not_leak(tmp_path: Path) -> None:
    texts = prose(30, seed=9)
    rows = [
        {**row, "part": ["Train", "val", "TEST", None, "holdout"][n % 5]} for n, row in enumerate(observations(texts))
    ]
    near = plant([(0, texts[0])], threshold=0.8, size=4, most=1)[0]
    rows.append({"id": "near", "text": near.text, "label": LABELS[0], "part": "test"})
    rows.append({"id": "same", "text": texts[5], "label": LABELS[5 % 3], "part": "test"})
    summary, out = build(tmp_path, rows, split=OFFICIAL)
    places = places_of(out)
    for number in range(30):
        expected = {0: "train", 1: "validation", 2: "test"}.get(number % 5)
        assert expected is None or places[f"r{number}"] == expected
    assert "near" not in places
    assert summary.reasons == {"would_tie_splits": 1}
    assert certificate_of(out)["official_splits"] == {
        "field": "part",
        "use": "honour",
        "rows": {"train": 6, "validation": 6, "test": 8, "none": 12},
        "keys": 1,
        "groups": 0,
        "near_pairs": 1,
    }
    overruled = {"official": {"field": "part", "use": "overrule"}}
    _, without = build(tmp_path, [{**row, "part": None} for row in rows])
    _, out = build(tmp_path, rows, split=overruled)
    assert places_of(out) == places_of(without)
    assert certificate_of(out)["official_splits"]["keys"] == 1
    assert "1 questions, 0 groups, 1 near-duplicates" in certificate_table(certificate_of(out))


def subset_rows() -> list[Row]:
    rows = observations(prose(400, seed=10))
    for number, row in enumerate(rows):
        row["label"] = LABELS[0 if number % 10 < 6 else 1 if number % 10 < 9 else 2]
        row["child"] = number // 3
    return rows


def test_a_subset_is_stratified_respects_groups_and_keeps_every_place(tmp_path: Path) -> None:
    rows, split = subset_rows(), {"group_fields": ["child"]}
    whole, out = build(tmp_path, rows, split=split)
    places = places_of(out)
    small, subset = build(tmp_path, rows, split=split, limit=100)
    assert 97 <= small.accepted <= 100
    assert small.outside_limit == 400 - small.accepted
    chosen = places_of(subset)
    assert {name: places[name] for name in chosen} == chosen
    children = {name: int(name[1:]) // 3 for name in places}
    taken = {children[name] for name in chosen}
    assert {name for name in places if children[name] in taken} == set(chosen)
    labels = Counter(row["label"] for row in read_rows(subset))
    assert labels[LABELS[0]] == pytest.approx(60, abs=12)
    assert labels[LABELS[2]] == pytest.approx(10, abs=6)
    assert small.splits["test"] == pytest.approx(whole.splits["test"] / 4, abs=6)
    assert small.splits["validation"] > 0
    assert read_assignments(subset / "assignments.jsonl").items() <= read_assignments(out / "assignments.jsonl").items()
    assert measure_leakage(subset, config_of(split=split).split, NO_WORDING).near_overlap == 0


def test_a_subset_does_not_depend_on_the_order_of_the_file(tmp_path: Path) -> None:
    rows = subset_rows()
    shuffled = random.Random(0).sample(rows, len(rows))
    (_, one), (_, other) = (build(tmp_path, found, limit=50) for found in (rows, shuffled))
    assert places_of(one) == places_of(other)
    assert len(places_of(one)) == 50
    assert build(tmp_path, rows, limit=1_000)[0].outside_limit == 0
    groups = [{**row, "child": 1} for row in rows[:40]]
    # A first group that is larger than the limit comes alone.
    assert build(tmp_path, groups, limit=5, split={"group_fields": ["child"]})[0].accepted == 40


def test_a_subset_has_an_inputs_key_of_its_own() -> None:
    keys = {split_inputs_key("0" * 64, FakeTask(), config_of(), limit=limit) for limit in (0, 10, 20)}
    assert len(keys) == 3


BUILD = """
import json, sys
from pathlib import Path
from finetune_assets_tests.datasets.test_leak_proof import build, planted_leaks
rows, _ = planted_leaks(60, seed=11)
if sys.argv[2] == "reversed":
    rows.reverse()
_, out = build(Path(sys.argv[1]), rows, split={"group_fields": ["child"]})
print(out)
"""


def built_elsewhere(folder: Path, hash_seed: str, order: str = "same") -> dict[str, bytes]:
    """Build in a folder and a process of its own and return the files."""
    folder.mkdir(parents=True)
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Pacific/Apia" if hash_seed == "1" else "UTC"}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder), order], env=env, capture_output=True, text=True, check=True
    )
    out = Path(done.stdout.strip())
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_folder_process_and_hash_seed_change_no_byte(tmp_path: Path) -> None:
    one = built_elsewhere(tmp_path / "one", "1")
    other = built_elsewhere(tmp_path / "another" / "folder", "4242")
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    turned = built_elsewhere(tmp_path / "turned", "7", "reversed")
    assert turned["assignments.jsonl"] == one["assignments.jsonl"]
    assert turned["near_duplicates.jsonl"] == one["near_duplicates.jsonl"]
    assert turned["certificate.json"] == one["certificate.json"]


def test_a_small_subset_has_rows_of_every_split(tmp_path: Path) -> None:
    rows, split = observations(prose(400, seed=11)), {"train": 0.9, "validation": 0.05, "test": 0.05}
    _, subset = build(tmp_path, rows, split=split, limit=20)
    places = Counter(places_of(subset).values())
    assert places["validation"] >= 1, "a tuning job needs validation rows"
    assert places["test"] >= 1
    assert 15 <= places["train"] < sum(places.values()) <= 20
    _, tiny = build(tmp_path, rows, split=split, limit=3)
    assert set(places_of(tiny).values()) == {"train"}
