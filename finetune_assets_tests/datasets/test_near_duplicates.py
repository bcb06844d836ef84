from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_assets.datasets.config import NearDuplicateConfig
from finetune_assets.datasets.normalise import normalise_text
from finetune_assets.datasets.splitting.leak_groups import UnionFind
from finetune_assets.datasets.splitting.leakage_near import closest_across
from finetune_assets.datasets.splitting.near_duplicates import NearSearch, Sketches
from finetune_assets.datasets.splitting.near_duplicates_columns import SketchColumns
from finetune_assets.datasets.splitting.near_duplicates_recall import measure_recall, plant
from finetune_assets.datasets.splitting.near_duplicates_signatures import Signatures
from finetune_assets.datasets.splitting.near_duplicates_sketch import SketchBlock, banding_for, sketch_texts
from finetune_assets.datasets.splitting.near_duplicates_verify import pair_similarities
from finetune_assets.records.similarity import jaccard, shingles

CONFIG = NearDuplicateConfig()
WORDS = [f"{first}{last}" for first in ("ba", "cedi", "fo", "guha", "je", "ki") for last in ("lo", "munar", "pe", "si")]


_opened: list[Sketches] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what `search_of` opened."""
    yield
    while _opened:
        _opened.pop().__exit__(None, None, None)


def search_of(texts: list[str], config: NearDuplicateConfig = CONFIG, *, batch: int = 7) -> NearSearch:
    sketches = Sketches(config)
    _opened.append(sketches)
    for begin in range(0, len(texts), batch):
        sketches.take(sketch_texts(texts[begin : begin + batch], config))
    return sketches.search(range(len(texts)))


def true_pairs(texts: list[str], config: NearDuplicateConfig = CONFIG) -> dict[tuple[int, int], float]:
    """Compare every text with every other."""
    sets = [shingles(normalise_text(text), config.shingle) for text in texts]
    found = {}
    for one in range(len(sets)):
        for other in range(one):
            if (similarity := jaccard(sets[one], sets[other])) >= config.threshold:
                found[other, one] = similarity
    return found


def prose(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    vocabulary = [f"{one}{other}" for one in WORDS for other in WORDS]
    return [" ".join(draw.choices(vocabulary, k=draw.randint(4, 24))) for _ in range(count)]


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_bands_fit_the_threshold(threshold: float) -> None:
    banding = banding_for(threshold)
    assert banding.chance(threshold) >= 0.999
    assert banding.hashes <= 128
    # Texts that have little in common seldom meet.
    assert banding.chance(threshold / 3) < 0.6


@given(st.lists(st.text(alphabet="abc ", max_size=12), max_size=25), st.integers(2, 5))
def test_what_is_found_is_true(texts: list[str], size: int) -> None:
    config = NearDuplicateConfig(threshold=0.6, shingle=size)
    truth = true_pairs(texts, config)
    for one, other, similarity in search_of(texts, config).near_pairs():
        assert truth[one, other] == similarity


def test_the_search_finds_what_comparing_all_with_all_finds() -> None:
    texts = prose(400, seed=1)
    texts += [pair.text for pair in plant(list(enumerate(texts)), threshold=0.8, size=4, most=200)]
    truth = true_pairs(texts)
    found = {(one, other) for one, other, _ in search_of(texts).near_pairs()}
    assert len(truth) >= 200
    assert found == truth.keys()


def test_equal_texts_are_one_group_and_empty_ones_are_none() -> None:
    texts = ["Ana ran to the swing.", "", "ana RAN to the swing", "...", "  ", "Ana ran to the swing!"]
    pairs = search_of(texts).near_pairs()
    assert pairs.equal == [[0, 2, 5]]
    assert list(pairs) == [(0, 2, 1.0), (0, 5, 1.0)]
    assert len(pairs) == 2


def test_short_texts_are_alike_only_when_they_are_equal() -> None:
    texts = ["yes", "yep", "no", "yes yes", "ye", "да", "はい", "はいい"]
    assert list(search_of(texts).near_pairs()) == []


def test_every_script_is_compared() -> None:
    japanese = "天気予報によると明日は東京で雨が降るそうです"
    texts = [japanese, japanese.replace("雨", "雪"), "Завтра в Москве будет дождь", "Завтра в Москве будет  ДОЖДЬ!"]
    config = NearDuplicateConfig(threshold=0.6)
    assert {(one, other) for one, other, _ in search_of(texts, config).near_pairs()} == {(0, 1), (2, 3)}


@given(
    st.lists(st.text(alphabet="ab \0é日", max_size=14) | st.text(max_size=400), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=60),
    st.integers(2, 8),
)
def test_many_pairs_at_once_are_as_alike_as_one_after_another(
    texts: list[str], pairs: list[tuple[int, int]], size: int
) -> None:
    places = [(one % len(texts), other % len(texts)) for one, other in pairs]
    columns = np.array(places, np.int64).reshape(-1, 2)
    sets = [shingles(text, size) for text in texts]
    found = pair_similarities(texts, columns[:, 0], columns[:, 1], size)
    assert found.tolist() == [jaccard(sets[one], sets[other]) for one, other in places]


def test_pairs_of_long_and_short_texts_are_compared_block_by_block() -> None:
    draw = random.Random(9)
    words = prose(30, seed=9)
    texts = [" ".join(draw.choices(words, k=draw.choice([1, 2, 40, 900]))) for _ in range(60)]
    sets = [shingles(text, 4) for text in texts]
    pairs = [(one, other) for one in range(60) for other in range(one)]
    one, other = np.array(pairs, np.int64).T
    found = pair_similarities(texts, one, other, 4)
    assert found.tolist() == [jaccard(sets[left], sets[right]) for left, right in pairs]


@given(st.integers(1, 130), st.floats(0.1, 1.0), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_quick_look_at_signatures_leaves_out_none_that_are_alike(
    hashes: int, least: float, distance: int, draw: random.Random
) -> None:
    values = np.random.default_rng(draw.randrange(1 << 32))
    marks = values.integers(0, draw.choice([2, 9, 256]), (40, hashes)).astype(np.uint8)
    columns = SketchColumns(np.zeros((2, 30), np.uint32), marks[:30], np.arange(30))
    # The last ten are no rows of the dataset.
    columns = columns.plus(SketchBlock(bands=bytes(80), marks=marks[30:].tobytes()))
    signatures = Signatures(columns, least)
    rows = values.permutation(40)
    words = signatures.in_order(rows)
    for one in (np.arange(40 - distance), np.array([0, 20, 40 - distance - 1])):
        left, right = rows[one], rows[one + distance]
        truth = (marks[left] == marks[right]).sum(axis=1) >= least * hashes
        assert signatures.are_alike(left, right).tolist() == truth.tolist()
        assert signatures.may_be_alike(words, one, distance)[truth].all()


def test_texts_are_read_at_once_whatever_lies_between_them() -> None:
    texts = ["a", "b" * 5_000, "日本", "c" * 3_000_000, "d", ""]
    with Sketches(CONFIG) as sketches:
        sketches.take(sketch_texts(texts, CONFIG))
        sketches.search([0])
        for rows in ([], [5], [2, 0, 4], [3, 1, 0, 2, 5, 4]):
            found = sketches.texts(np.array(rows, np.int64))
            assert found == [texts[row] for row in rows] == [sketches.text(row) for row in rows]


def test_batches_change_nothing() -> None:
    texts = [*prose(60, seed=2), "Straße 5", "日本"]
    blocks = [sketch_texts(texts[begin : begin + 9], CONFIG) for begin in range(0, len(texts), 9)]
    whole = sketch_texts(texts, CONFIG)
    assert b"".join(block.bands for block in blocks) == whole.bands
    assert b"".join(block.marks for block in blocks) == whole.marks
    assert b"".join(block.texts for block in blocks) == whole.texts


def test_the_sketch_is_the_same_on_every_machine() -> None:
    """Pinned: a change here changes which texts meet, and so which rows a new version sets aside."""
    block = sketch_texts(["Ana ran to the swing."], CONFIG)
    assert block.bands[:8].hex() == PINNED


PINNED = "5e7f03da12d4f2f8"


def test_boilerplate_is_one_group_and_stays_cheap() -> None:
    sentence = "thank you for writing to us about your order number {} which we will look at within two working days"
    texts = [sentence.format(number) for number in range(1_500)]
    pairs = search_of(texts).near_pairs()
    joined = UnionFind(len(texts))
    for one, other, _ in pairs:
        joined.union(one, other)
    assert len(pairs) < 40 * len(texts)
    assert max(map(joined.size, range(len(texts)))) > 0.99 * len(texts)


def test_the_closest_pair_across_splits_is_found_and_leaks_are_named() -> None:
    texts = prose(200, seed=3)
    near = plant(list(enumerate(texts)), threshold=0.8, size=4, most=5)
    texts += [pair.text for pair in near]
    splits = bytes([0] * 200 + [2] * 5)
    found = closest_across(search_of(texts), splits)
    assert {(one, other) for one, other, _ in found.leaks} == {(pair.origin, 200 + n) for n, pair in enumerate(near)}
    assert found.similarity == max(pair.similarity for pair in near)
    assert closest_across(search_of(texts), bytes(205)).leaks == []


def test_planted_texts_are_as_alike_as_they_say() -> None:
    texts = prose(300, seed=4)
    pairs = plant(list(enumerate(texts)), threshold=0.8, size=4, most=300)
    assert len(pairs) > 250
    for pair in pairs:
        found = jaccard(shingles(normalise_text(texts[pair.origin]), 4), shingles(normalise_text(pair.text), 4))
        assert found == pair.similarity
        assert 0.8 <= found < 1.0
    # Texts are changed as far as the threshold allows: most pairs are hard ones.
    assert sum(pair.similarity < 0.9 for pair in pairs) > 0.9 * len(pairs)
    assert plant([(0, "yes")], threshold=0.8, size=4, most=5) == []


def test_recall_is_measured_with_its_interval() -> None:
    texts = prose(500, seed=5)
    recall = measure_recall(search_of(texts), list(range(500)), 200)
    assert recall.planted == 200
    assert recall.found >= 199
    found = recall.to_json()
    assert found["interval_95"][0] < found["recall"] <= found["interval_95"][1] <= 1.0
    assert measure_recall(search_of(["yes", "no"]), [0, 1], 10).to_json() == {"planted": 0}


def test_a_search_that_misses_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement can fail: with bands for another threshold it says so."""
    wrong = banding_for(0.99)
    monkeypatch.setattr("finetune_assets.datasets.splitting.near_duplicates.banding_for", lambda _: wrong)
    monkeypatch.setattr("finetune_assets.datasets.splitting.near_duplicates_sketch.banding_for", lambda _: wrong)
    assert measure_recall(search_of(prose(500, seed=5)), list(range(500)), 200).found < 180


def planted_leaks_found(count: int, seed: int) -> tuple[int, int]:
    """Plant near-duplicates among as many other texts and count those found."""
    texts = prose(count, seed)
    pairs = plant(list(enumerate(texts)), threshold=0.8, size=4, most=count, seed=seed)
    found = {
        (one, other) for one, other, _ in search_of(texts + [pair.text for pair in pairs], batch=2_000).near_pairs()
    }
    return len(pairs), sum((pair.origin, count + number) in found for number, pair in enumerate(pairs))


def test_at_least_995_in_1000_planted_pairs_are_found() -> None:
    planted, found = planted_leaks_found(1_200, seed=6)
    assert planted > 1_000
    assert found / planted >= 0.995


@pytest.mark.soak
def test_at_least_9950_in_10000_planted_pairs_are_found() -> None:
    planted, found = planted_leaks_found(11_000, seed=7)
    assert planted >= 10_000
    assert found / planted >= 0.995


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(draw: random.Random) -> None:
    texts = prose(40, seed=8)
    texts += [pair.text for pair in plant(list(enumerate(texts)), threshold=0.8, size=4, most=20)]
    expected = {frozenset([texts[one], texts[other]]) for one, other, _ in search_of(texts).near_pairs()}
    draw.shuffle(texts)
    with Sketches(CONFIG) as sketches:
        sketches.take(sketch_texts(texts, CONFIG))
        order = sorted(range(len(texts)), key=texts.__getitem__)
        found = sketches.search(order).near_pairs()
    assert {frozenset([texts[order[one]], texts[order[other]]]) for one, other, _ in found} == expected


def test_clinc_has_677_pairs_of_which_10_have_different_labels(real_data: Path) -> None:
    labels: dict[str, set[str]] = {}
    with (real_data / "classification/clinc150_train_val.jsonl").open() as lines:
        for row in map(json.loads, lines):
            labels.setdefault(normalise_text(row["text"]), set()).add(row["label"])
    texts = list(labels)
    assert len(texts) == 18_200 - 66
    pairs = list(search_of(texts, batch=2_000).near_pairs())
    assert len(pairs) == 677
    assert sum(not labels[texts[one]] & labels[texts[other]] for one, other, _ in pairs) == 10
