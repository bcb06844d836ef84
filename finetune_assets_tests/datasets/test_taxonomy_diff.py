"""What changed between two taxonomies, and what becomes of the rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.config import SourceConfig
from finetune_assets.datasets.taxonomies.diff import TaxonomyDiff, diff_taxonomies
from finetune_assets.datasets.taxonomies.migration import PROVENANCE, Migration, MigrationReport, migrate
from finetune_assets.datasets.taxonomies.relabel import LabelFields
from finetune_assets.datasets.taxonomies.review import Decisions
from finetune_assets.datasets.taxonomies.rules import MigrationMap, read_map
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy
from finetune_assets.records.errors import FinetuneError

Tree = Mapping[str, Sequence[str]]


def labels(tree: Tree) -> Taxonomy:
    return Taxonomy.from_json({"domains": [{"name": name, "labels": list(found)} for name, found in tree.items()]})


def progressions(tree: Mapping[str, Mapping[str, Sequence[tuple[int, str]]]], ids: Mapping[str, int]) -> Taxonomy:
    """Return a taxonomy of domain → attribute → (point id, title); each point's description names its id."""
    domains = [
        {
            "id": ids[domain],
            "name": domain,
            "attributes": [
                {
                    "id": ids[attribute],
                    "name": attribute,
                    "progressionPoints": [
                        {"id": point, "progressionPointsTitle": title, "description": f"point {point}"}
                        for point, title in points
                    ],
                }
                for attribute, points in attributes.items()
            ],
        }
        for domain, attributes in tree.items()
    ]
    return Taxonomy.from_json({"domains": domains})


def kinds(diff: TaxonomyDiff) -> dict[str, list[tuple[Any, Any]]]:
    found: dict[str, list[tuple[Any, Any]]] = {}
    for change in diff.changes:
        found.setdefault(change.kind, []).append((change.old, change.new))
    return found


OLD = {
    "kitchen": ["kettle", "card", "fork and knife", "cup small", "cup large", "toaster"],
    "garden": ["spade", "hose"],
}
NEW = {
    "kitchen": ["kettles", "card lost", "card stolen", "fork", "knife", "cup", "hose"],
    "garden": ["spade", "wheelbarrow"],
}


def test_each_kind_of_change_is_told_by_name() -> None:
    diff = diff_taxonomies(labels(OLD), labels(NEW))
    assert kinds(diff) == {
        "rename": [((("kitchen", "kettle"),), (("kitchen", "kettles"),))],
        "split": [
            ((("kitchen", "card"),), (("kitchen", "card lost"), ("kitchen", "card stolen"))),
            ((("kitchen", "fork and knife"),), (("kitchen", "fork"), ("kitchen", "knife"))),
        ],
        "merge": [((("kitchen", "cup small"), ("kitchen", "cup large")), (("kitchen", "cup"),))],
        "move": [((("garden", "hose"),), (("kitchen", "hose"),))],
        "delete": [((("kitchen", "toaster"),), ())],
        "add": [((), (("garden", "wheelbarrow"),))],
    }
    assert diff.questions == ()
    assert all(change.evidence for change in diff.changes)


def test_ids_come_before_names() -> None:
    ids = {"motion": 1, "moving": 1, "balance": 10, "steadiness": 10, "art": 2, "drawing": 20}
    old = progressions(
        {"motion": {"balance": [(1, "Emerging"), (2, "Secure")]}, "art": {"drawing": [(3, "Emerging")]}}, ids
    )
    new = progressions(
        {"moving": {"steadiness": [(1, "Starting"), (2, "Secure")]}, "art": {"drawing": [(3, "Emerging")]}}, ids
    )
    diff = diff_taxonomies(old, new)
    assert kinds(diff) == {
        "rename": [
            ((("motion",),), (("moving",),)),
            ((("motion", "balance"),), (("moving", "steadiness"),)),
            ((("motion", "balance", "Emerging"),), (("moving", "steadiness", "Starting"),)),
        ]
    }
    assert diff.successors["motion", "balance", "Secure"][1] == (("moving", "steadiness", "Secure"),)


def test_an_attribute_that_was_split_takes_its_points_along() -> None:
    ids = {"motion": 1, "balance": 10, "standing": 11, "walking": 12}
    old = progressions({"motion": {"balance": [(1, "Emerging"), (2, "Secure")]}}, ids)
    new = progressions({"motion": {"standing": [(1, "Emerging")], "walking": [(2, "Secure")]}}, ids)
    diff = diff_taxonomies(old, new)
    assert list(kinds(diff)) == ["split"]
    assert diff.successors["motion", "balance", "Emerging"][1] == (("motion", "standing", "Emerging"),)
    assert diff.successors["motion", "balance", "Secure"][1] == (("motion", "walking", "Secure"),)


def test_an_id_that_was_given_out_again_is_a_question() -> None:
    old = progressions({"motion": {"balance": [(1, "A")]}}, {"motion": 1, "balance": 10})
    new = progressions({"music": {"singing": [(9, "A")]}}, {"music": 1, "singing": 11})
    (question, *_) = diff_taxonomies(old, new).questions
    assert question.old == ("motion",)
    assert question.candidates[0][0] == ("music",)


@pytest.mark.parametrize(
    ("old", "new"), [(["step 1"], ["step 2"]), (["lost card a"], ["lost card b", "lost card c"]), (["x"], ["y"])]
)
def test_what_is_not_sure_is_never_renamed(old: list[str], new: list[str]) -> None:
    diff = diff_taxonomies(labels({"k": [*old, "same"]}), labels({"k": [*new, "same"]}))
    assert "rename" not in kinds(diff)


def test_other_levels_are_refused() -> None:
    with pytest.raises(FinetuneError, match="different levels"):
        diff_taxonomies(labels({"a": ["x"]}), Taxonomy.from_json({"labels": ["x", "y"]}))


words = st.sampled_from(
    ["card", "card lost", "lost", "cup", "cup small", "fork and knife", "fork", "knife", "a 1", "a 2"]
)
trees = st.dictionaries(
    st.sampled_from(["kitchen", "garden", "home"]), st.lists(words, min_size=1, max_size=5, unique=True), min_size=1
)


@given(trees)
def test_a_taxonomy_does_not_differ_from_itself(tree: Tree) -> None:
    diff = diff_taxonomies(labels(tree), labels(tree))
    assert (diff.changes, diff.questions) == ((), ())
    assert all(diff.successors[path][:2] == ("same", (path,)) for path in labels(tree).paths)


@given(trees, trees)
def test_every_old_label_has_a_fate_and_every_successor_is_legal(one: Tree, other: Tree) -> None:
    old, new = labels(one), labels(other)
    diff = diff_taxonomies(old, new)
    asked = {question.old for question in diff.questions}
    for path in old.paths:
        kind, news, _ = diff.successors[path]
        assert set(news) <= set(new.paths)
        assert bool(news) == (kind != "delete")
        assert not (news and path in asked)
    assert diff_taxonomies(old, new) == diff


# -- migration -------------------------------------------------------------------------------------------------------

FIELDS = LabelFields(("domain", "label"))
ALIASES = {"record_id": ("id",), "text": ("text",), "domain": (), "label": ("intent",)}


def migration(
    folder: Path, rows: list[dict[str, Any]], old: Tree, new: Tree, rules: MigrationMap | None = None
) -> Migration:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Migration(
        source=SourceConfig(path="rows.jsonl"),
        folder=folder,
        aliases=ALIASES,
        names=FIELDS,
        text_field="text",
        id_field="record_id",
        keeps_places=False,
        old=labels(old),
        new=labels(new),
        rules=rules or MigrationMap(),
    )


def row(number: int, domain: str, label: str, text: str = "Where?") -> dict[str, Any]:
    return {"id": f"r{number}", "text": text, "domain": domain, "label": label}


def written(out: Path, name: str = "rows.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_text(encoding="utf-8").splitlines()]


RULES = """
labels:
  - from: kitchen / card
    split:
      - {to: kitchen / card lost, when: {field: text, contains: [lost, LEFT]}}
      - {to: kitchen / card stolen, when: {field: text, matches: '\\bstol'}}
  - from: [kitchen, toaster]
    to: kitchen / kettles
"""


def test_rows_are_migrated_with_their_provenance(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(RULES)
    rows = [
        row(1, "kitchen", "kettle"),
        row(2, "kitchen", "card", "I left it in the bus."),
        row(3, "kitchen", "card", "It was stolen."),
        row(4, "kitchen", "card", "What now?"),
        row(5, "garden", "spade"),
        row(6, "garden", "nonsense"),
        row(7, "kitchen", "toaster"),
        row(8, "kitchen", "fork and knife", "secret words"),
    ]
    work = migration(tmp_path / "in", rows, OLD, NEW, read_map(tmp_path / "map.yaml"))
    report = migrate(work, tmp_path / "out")
    assert (report.read, report.unchanged, report.migrated, report.review) == (8, 2, 4, 2)
    assert report.without_label == 1
    found = {item["record_id"]: item for item in written(tmp_path / "out")}
    assert {name: item["label"] for name, item in found.items()} == {
        "r1": "kettles",
        "r2": "card lost",
        "r3": "card stolen",
        "r5": "spade",
        "r6": "nonsense",
        "r7": "kettles",
    }
    (step,) = found["r1"][PROVENANCE]
    assert (step["from"], step["to"]) == (work.old.digest, work.new.digest)
    assert step["old_label"] == "kitchen / kettle"
    assert step["rule"].startswith("rename: ")
    assert found["r2"][PROVENANCE][0]["rule"] == "map: labels[0]"
    assert PROVENANCE not in found["r5"]
    with (tmp_path / "out/review.csv").open(newline="") as stream:
        waiting = list(csv.DictReader(stream))
    assert [(item["record_id"], item["candidates"], item["decision"]) for item in waiting] == [
        ("r4", "kitchen / card lost; kitchen / card stolen", ""),
        ("r8", "kitchen / fork; kitchen / knife", ""),
    ]
    assert "secret words" not in (tmp_path / "out/review.csv").read_text()
    assert written(tmp_path / "out", "review.jsonl")[1]["text"] == "secret words"
    assert (tmp_path / "in/rows.jsonl").read_text().count("\n") == 8


def test_decisions_are_applied_and_stay(tmp_path: Path) -> None:
    rows = [row(1, "kitchen", "card"), row(2, "kitchen", "toaster"), row(3, "kitchen", "card")]
    work = migration(tmp_path / "in", rows, OLD, NEW)
    migrate(work, tmp_path / "out")
    text = (tmp_path / "out/review.csv").read_text().splitlines()
    text[1] += "kitchen / card stolen"
    text[2] += "leave out"
    decided = tmp_path / "decided.csv"
    decided.write_text("\n".join(text) + "\n")
    report = migrate(work, tmp_path / "out", Decisions.read(decided))
    assert (report.migrated, report.left_out, report.review) == (1, 1, 1)
    assert written(tmp_path / "out")[0][PROVENANCE][0]["rule"] == "review"
    assert written(tmp_path / "out", "left_out.jsonl")[0]["record_id"] == "r2"
    # The review keeps what was decided, so that it can be given back again.
    again = migrate(work, tmp_path / "out", Decisions.read(tmp_path / "out/review.csv"))
    assert again == report


@pytest.mark.parametrize(
    ("place", "decision", "problem"),
    [("rows.jsonl:1", "kitchen / no such", "no label"), ("rows.jsonl:9", "kitchen / cup", "fit no waiting row")],
)
def test_wrong_decisions_are_refused(tmp_path: Path, place: str, decision: str, problem: str) -> None:
    work = migration(tmp_path / "in", [row(1, "kitchen", "card")], OLD, NEW)
    (tmp_path / "decided.csv").write_text(f"place;decision\n{place};{decision}\n")
    with pytest.raises(FinetuneError, match=problem):
        migrate(work, tmp_path / "out", Decisions.read(tmp_path / "decided.csv"))
    assert not (tmp_path / "out/rows.jsonl").exists()


@pytest.mark.parametrize(
    "text",
    [
        "labels: [{from: kitchen / nothing, to: kitchen / cup}]",
        "labels: [{from: kitchen / card, to: kitchen / nothing}]",
        "labels: [{from: kitchen / card}]",
        "labels: [{from: kitchen / card, to: kitchen}]",
        "labels: [{from: kitchen / card, to: kitchen / cup}, {from: kitchen / card, review: true}]",
        "labels: [{from: kitchen / card, split: [{to: kitchen / cup, when: {field: text, matches: '('}}]}]",
        "- not a map: [",
    ],
)
def test_a_map_that_cannot_be_used_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.yaml").write_text(text)

    def use() -> None:
        rules = read_map(tmp_path / "map.yaml")
        migrate(migration(tmp_path / "in", [row(1, "kitchen", "card")], OLD, NEW, rules), tmp_path / "out")

    with pytest.raises(FinetuneError) as caught:
        use()
    assert "\n" not in str(caught.value)


def test_ids_names_and_descriptions_follow(tmp_path: Path) -> None:
    ids = {"motion": 1, "balance": 10, "moving": 5, "steadiness": 10}
    old = progressions({"motion": {"balance": [(1, "Emerging"), (2, "Secure")]}}, ids)
    new = progressions({"moving": {"steadiness": [(1, "Emerging"), (2, "Secure")]}}, ids)
    rows = [
        {
            "id": "r1",
            "domain_id": "1",
            "attribute_id": 10,
            "progression_title": "Secure",
            "attribute_name": "balance",
            "domain_name": "something else",
            "progression_description": "point 2",
        }
    ]
    (tmp_path / "rows.jsonl").write_text(json.dumps(rows[0]) + "\n")
    work = Migration(
        source=SourceConfig(path="rows.jsonl"),
        folder=tmp_path,
        aliases={"record_id": ("id",)},
        names=LabelFields(
            ("domain_id", "attribute_id", "progression_title"),
            {"attribute_name": ("attribute", "name"), "domain_name": ("domain", "name")},
            "progression_description",
        ),
        text_field="notes",
        id_field="record_id",
        keeps_places=False,
        old=old,
        new=new,
        rules=MigrationMap.model_validate(
            {"labels": [{"from": "motion", "to": "moving"}, {"from": "motion / balance", "to": "moving / steadiness"}]}
        ),
    )
    migrate(work, tmp_path / "out")
    (found,) = written(tmp_path / "out")
    assert (found["domain_id"], found["attribute_id"]) == ("5", 10)
    assert found["attribute_name"] == "steadiness"
    assert found["domain_name"] == "something else"  # it contradicted the label before, and still does
    assert found["progression_description"] == "point 2"


@given(trees, trees, st.lists(st.tuples(st.sampled_from(["kitchen", "garden", "home", "none"]), words), max_size=8))
def test_no_row_is_lost(
    tmp_path_factory: pytest.TempPathFactory, one: Tree, other: Tree, named: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("migration")
    rows = [row(number, *pair) for number, pair in enumerate([*named, ("kitchen", "cup")])]
    work = migration(folder / "in", rows, one, other)
    report: MigrationReport = migrate(work, folder / "out")
    kept = written(folder / "out")
    waiting = written(folder / "out", "review.jsonl")
    assert sorted(item["record_id"] for item in [*kept, *waiting]) == sorted(item["id"] for item in rows)
    assert report.read == len(rows) == report.unchanged + report.migrated + report.review
    for item in kept:
        if PROVENANCE in item:
            assert (item["domain"], item["label"]) in work.new.paths


@given(trees, st.lists(st.tuples(st.sampled_from(["kitchen", "garden"]), words), min_size=1, max_size=6))
def test_migrating_to_the_same_taxonomy_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, tree: Tree, named: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("migration")
    rows = [row(number, *pair) for number, pair in enumerate(named)]
    report = migrate(migration(folder / "in", rows, tree, tree), folder / "out")
    assert report.unchanged == report.read == len(rows)
    assert [{**item, "id": item["record_id"]} | {"record_id": None} for item in written(folder / "out")] == [
        {**item, "record_id": None} for item in rows
    ]


def test_a_map_or_a_review_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "binary"):
        with pytest.raises(FinetuneError, match="map"):
            read_map(path)
        with pytest.raises(FinetuneError, match="review"):
            Decisions.read(path)
