from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.evaluation.hard_negatives import MinedRow, mine, suite_lines
from finetune_assets.evaluation.leaks import find_leaks
from finetune_assets.evaluation.statistics.sampling import shares_of, stratified
from finetune_assets.records.errors import FinetuneError
from finetune_assets.records.example import Attachment, Example
from finetune_assets.records.similarity import FixedWording
from finetune_assets_tests.evaluation.rows import answer, example

WORDS = [
    "apple",
    "river",
    "cloud",
    "stone",
    "green",
    "light",
    "paper",
    "music",
    "winter",
    "garden",
    "silver",
    "mountain",
]
A, B = ("a", "x"), ("b", "y")


def row(number: int, label: tuple[str, ...] = A) -> Example:
    text = " ".join(WORDS[(number * step + step) % len(WORDS)] + str(number * step) for step in range(1, 9))
    return example(number, label, text=text)


def given_answers(pool: list[Example], right: set[int] | None = None) -> list:
    return [
        replace(answer(number, B), example_id=item.example_id, correct=number in (right or set()))
        for number, item in enumerate(pool)
    ]


TRAIN = [row(number) for number in range(100, 120)]
TEST = [row(number) for number in range(200, 210)]
POOL = [row(number, A if number % 2 else B) for number in range(12)]


def mined(
    pool: list[Example] = POOL, right: set[int] | None = None, n: int = 5, seed: int = 1, **more
) -> list[MinedRow]:
    return mine(pool, {"live": given_answers(pool, right)}, TRAIN, n, seed, test=TEST, **more)


def test_the_wrong_rows_are_mined_by_label_and_seed() -> None:
    rows = mined(n=6)
    assert rows == mined(list(reversed(POOL)), n=6) or len(rows) == 6
    assert Counter(item.example.label for item in rows) == {"a / x": 3, "b / y": 3}
    assert [item.example.record_id for item in rows] != [item.example.record_id for item in mined(n=6, seed=2)]
    assert mined(n=0) == []
    assert mined([], n=3) == []


def test_rows_that_are_easy_are_left_out() -> None:
    assert [item.example.record_id for item in mined(right={*range(12)} - {4}, n=12)] == ["r0004"]
    margins = {POOL[7].example_id: 0.1, POOL[8].example_id: 0.9}
    found = mined(right={*range(12)}, n=12, margins=margins)
    assert [(item.example.record_id, item.wrong, item.margin) for item in found] == [("r0007", False, 0.1)]


def test_agreement_on_a_wrong_answer_and_a_decoy_make_a_row_harder() -> None:
    near = replace(TRAIN[0], label_path=B, label="b / y", content_key="other", record_id="decoyed")
    words = TRAIN[0].messages[1]["content"].split()
    text = " ".join([*words[:5], "quite", "other", "wording", "follows", "after", "them", "all"])
    near = replace(near, messages=(near.messages[0], {"role": "user", "content": text}), target="t")
    pool = [*POOL, near]
    others = [replace(item, predicted=A if number == 2 else B) for number, item in enumerate(given_answers(pool))]
    found = mine(pool, {"live": given_answers(pool), "base": others}, TRAIN, 13, 0, test=TEST)
    by_record = {item.example.record_id: item for item in found}
    assert by_record["r0002"].agreement == 0.5
    assert by_record["r0003"].agreement == 1.0
    assert by_record["decoyed"].decoy_record == TRAIN[0].record_id
    assert found[0].example.record_id == "decoyed"
    assert [item.difficulty for item in found] == sorted((item.difficulty for item in found), reverse=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content_key": TRAIN[3].content_key}, "in_train"),
        ({"content_key": TEST[3].content_key}, "in_test"),
        ({"messages": TRAIN[3].messages}, "near_train"),
        ({"messages": TEST[3].messages}, "near_test"),
        ({"origin": "synthetic"}, "not_observed"),
    ],
)
def test_a_pool_that_leaks_is_refused(change: dict, reason: str) -> None:
    pool = [*POOL[:5], replace(POOL[5], **change)]
    with pytest.raises(FinetuneError, match=rf"1 of 6 rows: r0005 \({reason}\)"):
        mined(pool)


def test_near_copies_are_found_in_scripts_without_spaces() -> None:
    text = "孩子在花园里独自爬上了梯子，然后慢慢地走下来，没有人帮助他，他笑了。"
    text += "老师在旁边看着，记录下了他的动作和表情，下午他又试了一次，比上午更快。"
    copies = [example(1, text=text), example(2, text=text.replace("花园", "院子"))]
    assert find_leaks(copies[:1], [*TRAIN, copies[1]], [], {}) == {"r0001": "near_train"}


def test_leak_groups_and_declared_groups_are_held_out_too() -> None:
    pool = [replace(POOL[0], groups=("child_id=7",)), POOL[1]]
    train = [replace(TRAIN[0], groups=("child_id=7",)), *TRAIN[1:]]
    groups = {POOL[1].content_key: "g1", TEST[0].content_key: "g1"}
    assert find_leaks(pool, train, TEST, groups) == {"r0000": "in_train", "r0001": "in_test"}


def test_the_templates_wording_and_photos_do_not_make_rows_alike() -> None:
    frame = "Here is an observation of a child, tell me which of the known domains it belongs to, please: {text}"
    wording = FixedWording(frame)

    def asked(number: int, text: str, uri: str = "") -> Example:
        files = (Attachment(uri, "image/png"),) if uri else ()
        message = {"role": "user", "content": frame.replace("{text}", text)}
        return replace(example(number), messages=(message,), attachments=files)

    assert find_leaks([asked(1, "eats soup")], [asked(2, "runs away")], [], {}) == {"r0001": "near_train"}
    assert find_leaks([asked(1, "eats soup")], [asked(2, "runs away")], [], {}, wording) == {}
    assert find_leaks([asked(1, "a", "gs://b/1")], [asked(2, "a", "gs://b/2")], [], {}, wording) == {}


def test_one_row_of_each_leak_group_is_kept() -> None:
    pool = [replace(item, groups=(f"child={number % 3}",)) for number, item in enumerate(POOL)]
    assert len(mined(pool, n=12)) == 3
    assert len(mined(n=12, leak_groups={item.content_key: "one" for item in POOL})) == 1


def test_the_suite_file_reads_back_as_examples() -> None:
    rows = mined()
    lines = suite_lines(rows).splitlines()
    assert [Example.from_json(json.loads(line)) for line in lines] == [item.example for item in rows]
    assert json.loads(lines[0])["provenance"]["model"] == "live"


def test_a_missing_answer_is_wrong() -> None:
    found = mine(POOL, {"live": []}, TRAIN, 12, 0, test=TEST)
    assert len(found) == 12
    assert all(item.wrong and item.agreement == 0 for item in found)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 30), max_size=8), st.integers(0, 100))
def test_shares_are_conserved(strata: dict[str, int], rows: int) -> None:
    shares = shares_of(strata, rows)
    assert sum(shares.values()) == min(rows, sum(strata.values()))
    assert all(0 <= shares[name] <= size for name, size in strata.items())
    if rows >= len(strata):
        assert all(shares.values())


@given(st.lists(st.sampled_from("ab"), max_size=20), st.integers(0, 25), st.randoms())
def test_the_choice_does_not_depend_on_the_order(strata: list[str], count: int, random) -> None:
    rows = [(str(number), stratum) for number, stratum in enumerate(strata)]
    shuffled = [*rows]
    random.shuffle(shuffled)
    chosen = {rows[place] for place in stratified(rows, count, 5)}
    assert chosen == {shuffled[place] for place in stratified(shuffled, count, 5)}
    assert len(chosen) == min(count, len(rows))
