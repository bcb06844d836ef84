"""Laws of the mends: once is enough, and what is not at fault stays."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.reading.canonical_names import alias_lookup
from finetune_assets.datasets.repair.ids import IdBook
from finetune_assets.datasets.repair.mends import MendRules, mend_schema
from finetune_assets.datasets.taxonomies.taxonomy import Taxonomy

TREE = Taxonomy.from_json(
    {"domains": [{"name": "kitchen", "labels": ["Oven", "kettle"]}, {"name": "garden", "labels": ["oven", "hose"]}]}
)
RULES = MendRules(
    names=alias_lookup({"record_id": ["id"], "text": ["note"], "age": ["months"], "domain": [], "label": ["intent"]}),
    whole_numbers=frozenset({"age"}),
    label_fields=("domain", "label"),
    taxonomy=TREE,
    tool_fields=frozenset({"tools"}),
    kept_texts=frozenset({"text"}),
)
values = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.sampled_from(["12", " 7 ", "7.0", "7.5", "OVEN", " oven", "Kitchen", "garden ", "dict", "", "a\u00a0b"]),
    st.text(max_size=6),
)
schemas = st.recursive(
    st.sampled_from(["dict", "object", "float", 3, None]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["type", "properties", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(["record_id", "id", "text", "note", "age", "months", "domain", "label", "intent", "other"])
rows = st.builds(lambda row, tools: {**row, "tools": tools}, st.dictionaries(names, values, max_size=8), schemas)


@given(rows)
def test_mending_twice_is_mending_once(row: dict[str, Any]) -> None:
    mended, changes = mend_schema(row, RULES)
    assert mend_schema(mended, RULES) == (mended, [])
    assert bool(changes) == (mended != row)


@given(rows)
def test_texts_and_unknown_fields_keep_their_value(row: dict[str, Any]) -> None:
    mended, _ = mend_schema(row, RULES)
    for name in ("text", "note", "other"):
        if name in row:
            assert row[name] in [mended.get(name), mended.get("text")]
    assert len(mended) == len(row)


def test_a_label_is_spelt_as_its_domain_has_it() -> None:
    assert mend_schema({"domain": "Kitchen", "label": "OVEN"}, RULES)[0] == {"domain": "kitchen", "label": "Oven"}
    assert mend_schema({"domain": "garden", "label": "OVEN"}, RULES)[0] == {"domain": "garden", "label": "oven"}
    assert mend_schema({"domain": "nowhere", "label": "HOSE"}, RULES)[1] == []


def test_a_property_called_type_is_no_schema_type() -> None:
    tools = [{"parameters": {"type": "dict", "properties": {"type": {"type": "str"}}}}]
    mended, _ = mend_schema({"tools": tools}, RULES)
    assert mended["tools"] == [{"parameters": {"type": "object", "properties": {"type": {"type": "string"}}}}]


@given(st.lists(st.fixed_dictionaries({"text": st.sampled_from("abcd")}, optional={"id": st.sampled_from("xy")})))
def test_ids_become_unique_and_stay(rows: list[dict[str, Any]]) -> None:
    def mended(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        book = IdBook("record_id", RULES)
        for row in given:
            book.note(row)
        return [book.mend(row)[0] for row in given]

    once = mended(rows)
    owners: dict[str, str] = {}
    for row in once:
        found = row.get("id") or row.get("record_id")
        assert found
        assert owners.setdefault(found, row["text"]) == row["text"]
    assert mended(once) == once
