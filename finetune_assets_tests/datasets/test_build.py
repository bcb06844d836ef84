from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.build import SplitSummary, build_splits, read_examples, split_inputs_key
from finetune_assets.datasets.config import DatasetConfig
from finetune_assets.datasets.normalise import content_key
from finetune_assets.datasets.reading.ingest import ingest
from finetune_assets.datasets.split_files import read_assignments, read_rows
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.datasets.fake_task import LABELS, FakeTask

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
Row = dict[str, Any]


def config_of(**values: Any) -> DatasetConfig:
    return DatasetConfig.model_validate({"source": {"path": "source.jsonl"}, **values})


def build(folder: Path, rows: list[Row], previous: Path | None = None, **values: Any) -> tuple[SplitSummary, Path]:
    """Ingest and build the rows in a new folder."""
    home = Path(tempfile.mkdtemp(dir=folder))
    (home / "source.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = config_of(**values)
    raw, out = home / "raw", home / "splits"
    raw.mkdir()
    out.mkdir()
    ingest(config.source, home, FakeTask().aliases, raw)
    return build_splits(raw / "records.jsonl", out, FakeTask(), config, previous=previous), out


def observations(count: int, **more: Any) -> list[Row]:
    return [{"id": f"r{n}", "text": f"Ana ran {n} times.", "label": LABELS[n % 3], **more} for n in range(count)]


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_every_file_is_there_and_says_the_same(tmp_path: Path) -> None:
    rows = observations(60)
    rows += [
        {"id": "twin", "text": "ana RAN 5 times", "label": LABELS[5 % 3]},
        {"id": "odd", "text": "Ana sat.", "label": "Maths"},
        {"id": "no text", "label": LABELS[0]},
        {"id": "yes", "text": "Who is it?", "label": LABELS[0]},
        {"id": "no", "text": "Who is it", "label": LABELS[1]},
        {"id": "r7", "text": "Other content.", "label": LABELS[1]},
    ]
    summary, out = build(tmp_path, rows)
    reasons = {"duplicate_id": 1, "label_conflict": 2, "missing_field": 1, "unknown_label": 1}
    assert (summary.read, summary.accepted, summary.quarantined, summary.duplicates) == (66, 60, 5, 1)
    assert (summary.reasons, summary.conflicts) == (reasons, 1)
    assert summary.splits == {"train": 48, "validation": 6, "test": 6}
    assert set(content_of(out)) == {
        "assignments.jsonl",
        "certificate.json",
        "conflicts.jsonl",
        "duplicates.jsonl",
        "examples.jsonl",
        "near_duplicates.jsonl",
        "preview.jsonl",
        "quarantine.jsonl",
        "quarantine.parquet",
        "statistics.json",
        *(f"{form}/{split}.jsonl" for form in ("chat", "gemini") for split in ("train", "validation", "test")),
    }
    examples = list(read_examples(out))
    assert len(examples) == 60
    for split, count in summary.splits.items():
        found = list(read_examples(out, split))
        assert len(found) == count
        assert [row["messages"][-1]["content"] for row in lines(out / f"chat/{split}.jsonl")] == [
            example.target for example in found
        ]
        assert len(lines(out / f"gemini/{split}.jsonl")) == count
    with pytest.raises(FinetuneError, match="split is unknown"):
        list(read_examples(out, "tests"))

    (duplicate,) = lines(out / "duplicates.jsonl")
    assert (duplicate["record_id"], duplicate["duplicate_of"]) == ("twin", "r5")
    (conflict,) = lines(out / "conflicts.jsonl")
    assert conflict["answers"] == {LABELS[0]: 1, LABELS[1]: 1}
    assert [row["record_id"] for row in conflict["rows"]] == ["yes", "no"]
    assert conflict["kept"] is None

    statistics = json.loads((out / "statistics.json").read_text())
    assert statistics["labels"] == dict.fromkeys(LABELS, 20)
    assert statistics["labels_by_split"][LABELS[0]] == {"train": 16, "validation": 2, "test": 2}
    assert statistics["levels"] == {"label": dict.fromkeys(LABELS, 20)}
    assert statistics["text_characters"]["train"]["min"] == len("Ana ran 1 times.")
    certificate = json.loads((out / "certificate.json").read_text())
    assert certificate["examples"] == certificate["components"] == 60
    assert certificate["cross_split_key_overlap"] == certificate["cross_split_group_overlap"] == 0


def test_rebuilding_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = [*observations(40, room="red"), {"id": "x", "text": "y"}]
    _, one = build(tmp_path, rows, split={"group_fields": ["id"]})
    _, other = build(tmp_path, rows, split={"group_fields": ["id"]})
    assert content_of(one) == content_of(other)
    _, seeded = build(tmp_path, rows, split={"seed": 1})
    _, zero = build(tmp_path, rows, split={"seed": 0})
    _, default = build(tmp_path, rows)
    assert content_of(zero) == content_of(default)
    assert (seeded / "assignments.jsonl").read_bytes() != (zero / "assignments.jsonl").read_bytes()


texts = st.sampled_from(
    [f"{word} {sign}" for word in ("ana", "Ana", "tom", "mia", "sang", "ran") for sign in "abcd.?!"]
)
row = st.fixed_dictionaries(
    {"text": texts, "label": st.sampled_from([*LABELS, "Maths"])},
    optional={
        "id": st.integers(0, 12).map(str),
        "child": st.integers(0, 6) | st.none(),
        "room": st.sampled_from(["red", "blue", ["red", "blue"], " "]),
    },
)
VALUES: dict[str, Any] = {
    "split": {"group_fields": ["child"], "evaluation_only": ["blue"]},
    "slices": {"blue": {"field": "room", "equals": "blue"}},
}
# Something must be left to train on, whatever else is rejected.
ANCHOR = [{"id": f"anchor {n}", "text": f"anchor number {n}", "label": LABELS[0]} for n in range(3)]


@ONE_FOLDER
@given(rows=st.lists(row, max_size=30), policy=st.sampled_from(["quarantine", "keep_first"]))
def test_rows_are_conserved_and_groups_kept_whole(tmp_path: Path, rows: list[Row], policy: str) -> None:
    summary, out = build(tmp_path, ANCHOR + rows, conflicts=policy, **VALUES)
    assert summary.read == len(ANCHOR) + len(rows)
    assert summary.read == summary.accepted + summary.quarantined + summary.duplicates
    assert len(lines(out / "examples.jsonl")) == summary.accepted == sum(summary.splits.values())
    assert len(lines(out / "quarantine.jsonl")) == summary.quarantined == sum(summary.reasons.values())
    assert len(lines(out / "duplicates.jsonl")) == summary.duplicates
    assert len(lines(out / "conflicts.jsonl")) == summary.conflicts
    places: dict[str, set[str]] = {}
    keys = []
    for found in read_rows(out):
        keys.append(found["content_key"])
        assert "blue" not in found["slices"] or found["split"] == "test"
        for group in found["groups"]:
            places.setdefault(group, set()).add(found["split"])
    assert len(set(keys)) == len(keys)
    assert all(len(found) == 1 for found in places.values())
    # Each row is named exactly once, wherever it went.
    named = [(found["source"]["line"]) for found in read_rows(out)]
    named += [found["line"] for found in lines(out / "quarantine.jsonl")]
    named += [found["source"]["line"] for found in lines(out / "duplicates.jsonl")]
    assert sorted(named) == list(range(1, summary.read + 1))


@ONE_FOLDER
@given(rows=st.lists(row, max_size=20), random=st.randoms(use_true_random=False))
def test_assignments_do_not_depend_on_the_order(tmp_path: Path, rows: list[Row], random: Any) -> None:
    _, one = build(tmp_path, ANCHOR + rows, **VALUES)
    shuffled = ANCHOR + rows
    random.shuffle(shuffled)
    _, other = build(tmp_path, shuffled, **VALUES)
    assert (one / "assignments.jsonl").read_bytes() == (other / "assignments.jsonl").read_bytes()


@ONE_FOLDER
@given(old=st.lists(row, max_size=15), rows=st.lists(row, max_size=15))
def test_building_on_its_own_result_changes_no_byte(tmp_path: Path, old: list[Row], rows: list[Row]) -> None:
    _, before = build(tmp_path, ANCHOR + old)
    memory = before / "assignments.jsonl"
    _, one = build(tmp_path, ANCHOR + rows, memory, **VALUES)
    _, again = build(tmp_path, ANCHOR + rows, one / "assignments.jsonl", **VALUES)
    assert content_of(one) == content_of(again)
    kept = read_assignments(one / "assignments.jsonl")
    assert read_assignments(memory).items() <= kept.items()
    assert all(kept[bytes.fromhex(found["content_key"])] >= 0 for found in read_rows(one))


@ONE_FOLDER
@given(rows=st.lists(row, max_size=15), more=st.lists(row, max_size=15))
def test_a_row_once_in_a_split_stays_in_it(tmp_path: Path, rows: list[Row], more: list[Row]) -> None:
    _, one = build(tmp_path, ANCHOR + rows, **VALUES)
    _, grown = build(tmp_path, ANCHOR + rows + more, one / "assignments.jsonl", **VALUES)
    before = {found["content_key"]: found["split"] for found in read_rows(one)}
    after = {found["content_key"]: found["split"] for found in read_rows(grown)}
    assert all(after.get(key, split) == split for key, split in before.items())
    assert read_assignments(one / "assignments.jsonl").items() <= read_assignments(grown / "assignments.jsonl").items()


def test_groups_and_slices_come_from_the_configuration(tmp_path: Path) -> None:
    rows = observations(30)
    for number, found in enumerate(rows):
        found["child"] = number // 3 if number % 2 else str(number // 3)
        found["age"] = 3 if number < 6 else None
    _, out = build(
        tmp_path, rows, split={"group_fields": ["child"]}, slices={"threes": {"field": "age", "equals": "3"}}
    )
    by_id = {found["record_id"]: found for found in read_rows(out)}
    assert by_id["r4"]["groups"] == by_id["r5"]["groups"] == ["child=1"]
    assert by_id["r5"]["slices"] == ["threes"]
    assert by_id["r6"]["slices"] == []
    certificate = json.loads((out / "certificate.json").read_text())
    assert (certificate["components"], certificate["largest_component"], certificate["declared_groups"]) == (10, 3, 10)
    assert json.loads((out / "statistics.json").read_text())["slices_by_split"]["threes"].keys() == {
        "train",
        "validation",
        "test",
    }


def test_a_duplicate_ties_the_groups_of_both(tmp_path: Path) -> None:
    rows = observations(30)
    rows[0]["child"], rows[1]["child"], rows[2]["child"] = "a", "a", "b"
    rows.append({**rows[0], "id": "again", "child": "b"})
    summary, out = build(tmp_path, rows, split={"group_fields": ["child"]})
    assert summary.duplicates == 1
    by_id = {found["record_id"]: found["split"] for found in read_rows(out)}
    assert by_id["r0"] == by_id["r1"] == by_id["r2"]


def test_keep_first_keeps_the_first_answer(tmp_path: Path) -> None:
    rows = [*observations(9), {"id": "again", "text": "Ana ran 0 times", "label": LABELS[1]}]
    summary, out = build(tmp_path, rows, conflicts="keep_first")
    assert summary.reasons == {"label_conflict": 1}
    (conflict,) = lines(out / "conflicts.jsonl")
    assert conflict["kept"]["record_id"] == "r0"
    assert [found["record_id"] for found in conflict["rows"]] == ["again"]
    assert summary.accepted == 9


def test_of_two_rows_with_one_id_the_earlier_assigned_stays(tmp_path: Path) -> None:
    rows = observations(20)
    _, before = build(tmp_path, rows)
    for text in ("Quite other content.", "And other again.", "Or this."):
        changed = [{"id": "r3", "text": text, "label": LABELS[0]}, *rows]
        summary, out = build(tmp_path, changed, before / "assignments.jsonl")
        assert summary.reasons == {"duplicate_id": 1}
        assert [found["record_id"] for found in lines(out / "quarantine.jsonl")] == ["r3"]
        assert content_key({"text": rows[3]["text"]}) in {found["content_key"] for found in read_rows(out)}


def test_set_aside_rows_name_what_ties_them(tmp_path: Path) -> None:
    rows = observations(30)
    _, before = build(tmp_path, rows)
    splits = {found["record_id"]: found["split"] for found in read_rows(before)}
    train = next(number for number in range(30) if splits[f"r{number}"] == "train")
    test = next(number for number in range(30) if splits[f"r{number}"] == "test")
    rows[train]["child"], rows[test]["child"] = "a", "b"
    bridge = {"id": "bridge", "text": "Ana and Ben.", "label": LABELS[0], "child": ["a", "b"]}
    summary, out = build(tmp_path, [*rows, bridge], before / "assignments.jsonl", split={"group_fields": ["child"]})
    assert summary.reasons == {"would_tie_splits": 1}
    (found,) = lines(out / "quarantine.jsonl")
    assert (found["record_id"], found["found"]) == ("bridge", "child=a, child=b")
    rows[test]["child"] = "a"
    summary, out = build(tmp_path, rows, before / "assignments.jsonl", split={"group_fields": ["child"]})
    assert summary.reasons == {"tied_across_splits": 1}
    assert lines(out / "quarantine.jsonl")[0]["record_id"] == f"r{test}"


def test_nothing_to_train_on_is_one_line(tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": f"t {number}", "label": "Maths"} for number in range(5)]
    with pytest.raises(FinetuneError, match=r"no training rows are left .* unknown_label 5") as caught:
        build(tmp_path, rows)
    assert "Mend: the first is " in str(caught.value)
    assert ":1 `label`: found Maths" in str(caught.value)


def test_where_every_record_lacks_a_field_the_line_names_it(tmp_path: Path) -> None:
    rows = [{"id": str(number), "words": f"t {number}", "label": LABELS[0]} for number in range(5)]
    with pytest.raises(FinetuneError, match=r"missing_field 5.*:1 `text`: found .*dataset\.source\.aliases"):
        build(tmp_path, rows)


def test_damaged_assignments_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "assignments.jsonl"
    damaged.write_text('{"content_key": "ab", "split": "training"}\n')
    with pytest.raises(FinetuneError, match=r"assignments.jsonl:1"):
        build(tmp_path, observations(5), damaged)


def test_the_inputs_key_knows_what_decides_the_splits() -> None:
    key = split_inputs_key("digest", FakeTask(), config_of())
    assert key == split_inputs_key("digest", FakeTask(), config_of(min_train_rows=7, max_tokens=99))
    others = {
        split_inputs_key("other", FakeTask(), config_of()),
        split_inputs_key("digest", FakeTask(("Maths",)), config_of()),
        split_inputs_key("digest", FakeTask(), config_of(split={"seed": 1})),
        split_inputs_key("digest", FakeTask(), config_of(conflicts="keep_first")),
        split_inputs_key("digest", FakeTask(), config_of(slices={"a": {"field": "b", "equals": 1}})),
    }
    assert len(others | {key}) == 6


def test_progress_ends_with_all_rows(tmp_path: Path) -> None:
    seen: list[int] = []
    _, out = build(tmp_path, observations(12))
    again = tmp_path / "again"
    again.mkdir()
    build_splits(out.parent / "raw/records.jsonl", again, FakeTask(), config_of(), on_progress=seen.append)
    assert seen == [12]
    assert not list(again.glob(".*"))


def test_a_held_out_slice_must_exist() -> None:
    with pytest.raises(ValueError, match="unseen"):
        config_of(split={"evaluation_only": ["unseen"]})
