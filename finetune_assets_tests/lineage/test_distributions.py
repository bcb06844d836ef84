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
