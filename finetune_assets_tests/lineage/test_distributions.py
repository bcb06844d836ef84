from __future__ import annotations

from finetune_assets.lineage.distributions import distribution_tables


def test_tables_of_what_varies() -> None:
    split = {"train": 2, "validation": 0, "test": 1}
    statistics = {
        "levels": {"domain": {"a": 2, "b": 1}, "level": {"only": 3}},
        "distributions": {"photo": {"with photo": split, "without photo": split}, "origin": {"observed": split}},
    }
    tables = distribution_tables(statistics)
    assert set(tables) == {"rows_by_domain", "rows_by_photo"}
    assert [record.data for record in tables["rows_by_photo"].records] == [
        {"photo": "with photo", **split},
        {"photo": "without photo", **split},
    ]


def test_lengths_stand_in_their_order_and_splits_in_theirs() -> None:
    split = {"test": 1, "train": 2, "validation": 0}
    lengths = {"0-50": split, "101-200": split, "51-100": split}
    table = distribution_tables({"levels": {}, "distributions": {"length": lengths}})["rows_by_length"]
    assert [record.data["length"] for record in table.records] == ["0-50", "51-100", "101-200"]
    assert list(table.records[0].data) == ["length", "train", "validation", "test"]


def test_of_many_sources_the_largest_are_shown_and_the_rest_is_counted() -> None:
    sources = {f"file-{number:03d}": {"test": 0, "train": number, "validation": 1} for number in range(1, 101)}
    table = distribution_tables({"levels": {}, "distributions": {"source": sources}})["rows_by_source"]
    assert [record.data["source"] for record in table.records][:2] == ["file-100", "file-099"]
    assert table.records[-1].data == {"source": "80 more", "train": sum(range(1, 81)), "validation": 80, "test": 0}
