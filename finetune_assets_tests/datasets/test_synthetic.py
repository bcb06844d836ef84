"""The shipped childcare sample: rebuilt byte for byte, dirty as declared, and learnable."""

import json
import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import finetune_assets
from finetune_assets.datasets.synthetic import __main__ as command
from finetune_assets.datasets.synthetic.actions import ACTIONS
from finetune_assets.datasets.synthetic.childcare import (
    CRITICAL_ROWS,
    NOISY_ROWS,
    ROWS_PER_PAIR,
    UNSEEN_ROWS,
    sample_bytes,
    taxonomy_bytes,
    unlabelled_texts,
)
from finetune_assets.datasets.synthetic.dirt import (
    CASE_COPIES,
    CONFLICTING_COPIES,
    REJECTED,
    TOLERATED,
    VERBATIM_COPIES,
    WHITESPACE_COPIES,
)
from finetune_assets.datasets.synthetic.early_years import ABSENT_PAIRS, ATTRIBUTES, LEGAL_PAIRS, LEVELS
from finetune_assets.datasets.synthetic.phrases import DISTRACTORS, MANNERS, SETTINGS, Phrasings
from finetune_assets.datasets.synthetic.texts import Draw

TASK_FOLDER = Path(finetune_assets.__file__).parent / "defs" / "childcare"
SAMPLE = TASK_FOLDER / "data" / "observations.jsonl"

ALIASES = {
    "id": ("id", "observationId"),
    "notes": ("notes", "observationNotes", "narrative", "text"),
    "photos": ("photoUri", "photoUris"),
    "domain": ("domainId",),
    "attribute": ("attributeId",),
    "level": ("progressionTitle", "progressionLevel"),
    "description": ("progressionDescription",),
    "age": ("childAgeMonths", "age_months"),
    "date": ("observationDate", "date"),
    "educator": ("educatorId",),
    "child": ("childId",),
    "set": ("phrasingSet",),
    "critical": ("critical",),
}


@cache
def shipped() -> tuple[tuple[dict[str, Any], ...], int]:
    """Return the shipped rows under short canonical names, and the number of lines that are not JSON."""
    rows, malformed = [], 0
    for line in SAMPLE.read_text(encoding="utf-8").splitlines():
        try:
            raw = json.loads(line)
        except json.JSONDecodeError:
            malformed += 1
            continue
        rows.append({key: raw[name] for key, names in ALIASES.items() for name in names if raw.get(name) is not None})
    return tuple(rows), malformed


def flaw_of(row: dict[str, Any]) -> str:
    """Name the first flaw of a row, judged against the shipped taxonomy alone; "" for a row that can be used."""
    attributes, descriptions = framework()
    checks = {
        "missing_id": "id" not in row,
        "missing_notes": "notes" not in row,
        "wrong_type": not isinstance(row.get("notes", ""), str),
        "blank_notes": isinstance(row.get("notes"), str) and not row["notes"].strip(),
        "missing_domain": "domain" not in row,
        "missing_attribute": "attribute" not in row,
        "missing_level": "level" not in row,
        "unknown_domain": row.get("domain") not in set(attributes.values()),
        "unknown_attribute": row.get("attribute") not in attributes,
        "other_domain": attributes.get(row.get("attribute", 0)) != row.get("domain"),
        "unknown_level": row.get("level") not in LEVELS,
        "absent_level": (row.get("attribute"), row.get("level")) not in descriptions,
        "wrong_description": "description" in row
        and row["description"] not in descriptions.get((row.get("attribute"), row.get("level")), ()),
    }
    return next((name for name, found in checks.items() if found), "")


@cache
def framework() -> tuple[dict[int, int], dict[tuple[int, str], list[str]]]:
    """Return each attribute's domain, and the descriptions of each (attribute, level), from the shipped taxonomy."""
    domains: dict[int, int] = {}
    descriptions: dict[tuple[int, str], list[str]] = {}
    for domain in json.loads((TASK_FOLDER / "taxonomy.json").read_text(encoding="utf-8"))["domains"]:
        for attribute in domain["attributes"]:
            domains[attribute["id"]] = domain["id"]
            for point in attribute["progressionPoints"]:
                key = (attribute["id"], point["progressionPointsTitle"])
                descriptions.setdefault(key, []).append(point["description"])
    return domains, descriptions


def usable() -> list[dict[str, Any]]:
    """Return the rows without a flaw that a reader must refuse."""
    return [row for row in shipped()[0] if not flaw_of(row)]


def folded(text: str) -> str:
    """Return the text in one case and with single spaces."""
    return " ".join(text.casefold().split())


def told(row: dict[str, Any], phrasing_set: str = "common") -> tuple[int, str]:
    """Read the true (attribute, level) off a text by its phrases; exactly one of each must be there."""
    text = folded(row["notes"])
    actions = [
        key for key, bank in ACTIONS.items() for phrase in getattr(bank, phrasing_set) if phrase.casefold() in text
    ]
    manners = [
        key for key, bank in MANNERS.items() for phrase in getattr(bank, phrasing_set) if phrase.casefold() in text
    ]
    assert len(actions) == 1, text
    assert len(manners) == 1, text
    return actions[0], manners[0]


def phrasings(phrasing_set: str) -> list[str]:
    banks: list[Phrasings] = [*ACTIONS.values(), *MANNERS.values()]
    return [phrase for bank in banks for phrase in getattr(bank, phrasing_set)]


def test_the_command_rewrites_the_shipped_files_byte_for_byte(tmp_path: Path) -> None:
    assert command.main(["--out", str(tmp_path)]) == 0
    for name in ("taxonomy.json", "data/observations.jsonl"):
        assert (tmp_path / name).read_bytes() == (TASK_FOLDER / name).read_bytes()
    assert SAMPLE.stat().st_size < 900_000


def test_another_seed_gives_another_sample_and_the_same_seed_the_same() -> None:
    assert sample_bytes(7) == sample_bytes(7)
    assert sample_bytes(7) != sample_bytes()
    assert taxonomy_bytes() == taxonomy_bytes()


def test_draws_are_spread_evenly_and_stay_in_range() -> None:
    draw = Draw("law")
    counts = Counter(draw.between(1, 4) for _ in range(4000))
    assert set(counts) == {1, 2, 3, 4}
    assert min(counts.values()) > 900
    assert sorted(draw.shuffled(range(50))) == list(range(50))


def test_the_framework_has_the_declared_shape() -> None:
    data = json.loads((TASK_FOLDER / "taxonomy.json").read_text(encoding="utf-8"))
    domains = data["domains"]
    attributes = [attribute for domain in domains for attribute in domain["attributes"]]
    points = [point for attribute in attributes for point in attribute["progressionPoints"]]
    assert [domain["id"] for domain in domains] == [1, 2, 3, 4, 5]
    assert sorted(attribute["id"] for attribute in attributes) == list(range(1, 25))
    assert len({attribute["name"] for attribute in attributes}) == 24
    assert all(len(attribute["name"].split()) <= 3 for attribute in attributes)
    assert [point["id"] for point in points] == list(range(1, len(points) + 1))
    assert len({point["description"] for point in points}) == len(points)
    assert sum(point["isProgressionHidden"] for point in points) == 1
    assert len(framework()[1]) == len(LEGAL_PAIRS) == 118
    assert set(ABSENT_PAIRS) == {(19, "Refining"), (22, "Emerging")}
    assert max(len(found) for found in framework()[1].values()) == 2


def test_the_sample_is_as_dirty_as_declared() -> None:
    rows, malformed = shipped()
    found = Counter(flaw_of(row) for row in rows)
    accepted = found.pop("")
    assert dict(found) | {"malformed_json": malformed} == {name: flaw.rows for name, flaw in REJECTED.items()}
    copies = VERBATIM_COPIES + WHITESPACE_COPIES + CASE_COPIES + CONFLICTING_COPIES
    tolerated = sum(flaw.rows for flaw in TOLERATED.values())
    sound = ROWS_PER_PAIR * len(LEGAL_PAIRS) + NOISY_ROWS + UNSEEN_ROWS + CONFLICTING_COPIES + tolerated
    assert accepted == sound + copies


def test_copies_and_contradictions_are_as_declared() -> None:
    rows = usable()
    lines = Counter(SAMPLE.read_text(encoding="utf-8").splitlines())
    assert sum(number - 1 for number in lines.values()) == VERBATIM_COPIES
    by_text: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_text.setdefault(folded(row["notes"]), []).append(row)
    groups = [group for group in by_text.values() if len(group) > 1]
    assert {len(group) for group in groups} == {2}
    labels = [{(row["attribute"], row["level"]) for row in group} for group in groups]
    assert sum(len(label) == 2 for label in labels) == CONFLICTING_COPIES
    assert sum(len(label) == 1 for label in labels) == VERBATIM_COPIES + WHITESPACE_COPIES + CASE_COPIES
    cased = [group for group in groups if len({" ".join(row["notes"].split()) for row in group}) == 2]
    assert len(cased) == CASE_COPIES
    spaced = [group for group in groups if len({row["notes"].casefold() for row in group}) == 2]
    assert len(spaced) == WHITESPACE_COPIES


def test_tolerated_flaws_are_as_declared() -> None:
    rows = usable()
    assert sum("child" not in row for row in rows) == TOLERATED["no_child"].rows
    assert sum("age" in row and type(row["age"]) is not int for row in rows) == TOLERATED["loose_age"].rows
    nulls = re.findall(r'"(?:notes|narrative)": null', SAMPLE.read_text(encoding="utf-8"))
    assert len(nulls) == TOLERATED["null_alias"].rows


def test_label_noise_is_about_three_percent_and_legal() -> None:
    originals = {folded(row["notes"]): row for row in usable() if row["set"] == "common"}
    wrong = [row for row in originals.values() if told(row) != (row["attribute"], row["level"])]
    assert NOISY_ROWS <= len(wrong) <= NOISY_ROWS + CONFLICTING_COPIES
    assert 0.025 < NOISY_ROWS / len(originals) < 0.035
    assert {(row["attribute"], row["level"]) for row in wrong} <= set(LEGAL_PAIRS)
    attribute_at_fault = sum(told(row)[0] != row["attribute"] for row in wrong)
    assert 10 < attribute_at_fault < len(wrong) - 10


def test_every_label_of_the_framework_has_enough_clean_rows() -> None:
    clean = {folded(row["notes"]): told(row) for row in usable() if row["set"] == "common"}
    right = Counter(
        told(row) for row in usable() if row["set"] == "common" and told(row) == (row["attribute"], row["level"])
    )
    assert set(right) == set(LEGAL_PAIRS) == set(clean.values())
    assert min(right.values()) >= 12
    assert max(right.values()) <= 2 * min(right.values())


def test_unseen_phrasings_stand_in_the_unseen_rows_only() -> None:
    unseen_rows = [row for row in usable() if row["set"] == "unseen"]
    other_texts = [folded(str(row.get("notes", ""))) for row in shipped()[0] if row["set"] == "common"]
    assert len(unseen_rows) == UNSEEN_ROWS
    assert {told(row, "unseen") for row in unseen_rows} == {(row["attribute"], row["level"]) for row in unseen_rows}
    assert not [phrase for phrase in phrasings("unseen") for text in other_texts if folded(phrase) in text]
    assert not [
        phrase for phrase in phrasings("common") for row in unseen_rows if folded(phrase) in folded(row["notes"])
    ]


def test_unlabelled_texts_are_seeded_common_and_never_a_sample_row() -> None:
    texts = list(unlabelled_texts(3, 3000))
    assert texts == list(unlabelled_texts(3, 3000))
    assert texts[:50] != list(unlabelled_texts(4, 50))
    assert list(unlabelled_texts(3, 0)) == []
    blob = "\n".join(texts).casefold()
    assert not [phrase for phrase in phrasings("unseen") if phrase.casefold() in blob]
    assert all(phrase.casefold() in blob for phrase in phrasings("common"))
    sample = {folded(str(row.get("notes", ""))) for row in shipped()[0]}
    assert not sample & {folded(text) for text in texts}


def test_texts_hold_no_level_title_and_fillers_tell_nothing() -> None:
    texts = [folded(str(row.get("notes", ""))) for row in shipped()[0]] + [
        folded(text) for text in unlabelled_texts(5, 500)
    ]
    titles = re.compile("|".join(level.casefold() for level in LEVELS))
    assert not [text for text in texts if titles.search(text)]
    phrases = [phrase.casefold() for phrase in phrasings("common") + phrasings("unseen")]
    assert not [
        filler for filler in (*SETTINGS, *DISTRACTORS) if any(filler.casefold() in phrase for phrase in phrases)
    ]


def test_critical_rows_are_plain_right_and_of_children_of_their_own() -> None:
    critical = [row for row in usable() if row.get("critical")]
    assert len(critical) == CRITICAL_ROWS == sum("critical" in row for row in shipped()[0])
    assert all(row["set"] == "common" and "photos" not in row for row in critical)
    assert all(told(row) == (row["attribute"], row["level"]) for row in critical)
    assert sum(ATTRIBUTES[row["attribute"]].name == "Safe Choices" for row in critical) == 10
    assert len({row["attribute"] for row in critical}) == 24
    assert min(Counter(row["level"] for row in critical).values()) >= 6
    for slice_rows in (critical, [row for row in usable() if row["set"] == "unseen"]):
        ids = {id(row) for row in slice_rows}
        own = {row["child"] for row in slice_rows}
        assert not own & {row.get("child") for row in shipped()[0] if id(row) not in ids}


def test_children_stay_small_groups_and_grow_older() -> None:
    by_child: dict[str, list[dict[str, Any]]] = {}
    for row in shipped()[0]:
        if "child" in row:
            by_child.setdefault(row["child"], []).append(row)
    assert 450 < len(by_child) < 700
    assert max(map(len, by_child.values())) <= 7
    for rows in by_child.values():
        dated = sorted((row["date"], row["age"]) for row in rows if "date" in row and type(row.get("age")) is int)
        assert all(earlier[1] <= later[1] for earlier, later in pairwise(dated))


def test_all_aliases_occur_and_optional_fields_are_sometimes_absent() -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    missing = [name for names in ALIASES.values() for name in names if f'"{name}": ' not in text]
    assert missing == []
    rows = usable()
    shares = {key: sum(key in row for row in rows) / len(rows) for key in ("photos", "description", "age", "date")}
    assert 0.08 < shares["photos"] < 0.16
    assert 0.04 < shares["description"] < 0.12
    assert 0.85 < shares["age"] < 0.95
    assert 0.87 < shares["date"] < 0.97
    photos = [
        uri
        for row in rows
        if "photos" in row
        for uri in ([row["photos"]] if isinstance(row["photos"], str) else row["photos"])
    ]
    assert all(uri.startswith("gs://") for uri in photos)


def test_a_bag_of_words_learns_the_common_rows_and_not_the_unseen() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    unique = list({folded(row["notes"]): row for row in usable() if row["set"] == "common"}.values())
    held_out = unique[::5]
    train = [row for index, row in enumerate(unique) if index % 5]
    unseen = [row for row in usable() if row["set"] == "unseen"]
    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    known = vectors.fit_transform([row["notes"] for row in train])

    def accuracy(rows: list[dict[str, Any]]) -> float:
        right = [True] * len(rows)
        for part in ("attribute", "level"):
            model = LogisticRegression(C=10, max_iter=300).fit(known, [row[part] for row in train])
            answers = model.predict(vectors.transform([row["notes"] for row in rows]))
            right = [was and answer == row[part] for was, answer, row in zip(right, answers, rows, strict=True)]
        return sum(right) / len(rows)

    assert accuracy(held_out) >= 0.9
    assert accuracy(unseen) < 0.5
