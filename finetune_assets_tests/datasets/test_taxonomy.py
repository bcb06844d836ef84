from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune_assets.datasets.taxonomies.file import read_taxonomy
from finetune_assets.datasets.taxonomies.nodes import domain_key, tidy
from finetune_assets.datasets.taxonomies.taxonomy import Fault, Taxonomy
from finetune_assets.records.errors import FinetuneError

TITLES = ("Emerging", "Developing", "Progressing")


def point(node_id: int, title: str, **more: Any) -> dict[str, Any]:
    return {
        "id": node_id,
        "progressionPointsId": TITLES.index(title) + 1,
        "progressionPointsTitle": title,
        "description": f"Description {node_id}.",
        "sortOrder": node_id,
        "descriptionOrder": "NULL",
        "isProgressionHidden": 0,
        **more,
    }


def source() -> dict[str, Any]:
    """Two domains, three attributes: Running lacks Progressing, a point of Emotions is hidden."""
    return {
        "domains": [
            {
                "id": 2,
                "name": "My Feelings (Social & Emotional Development)",
                "categoryName": "Social & Emotional Development",
                "categoryTitle": None,
                "sortOrder": 2,
                "attributes": [
                    {
                        "id": 3,
                        "number": 3,
                        "name": "Emotions",
                        "categoryInformation": "Feelings.",
                        "sortOrder": 1,
                        "progressionPoints": [
                            point(30, "Emerging"),
                            point(31, "Developing"),
                            point(32, "Progressing", isProgressionHidden=1),
                        ],
                    }
                ],
            },
            {
                "id": 1,
                "name": "Physical Development",
                "sortOrder": 1,
                "attributes": [
                    {
                        "id": 8,
                        "name": "Running",
                        "sortOrder": 2,
                        "progressionPoints": [point(20, "Emerging"), point(21, "Developing")],
                    },
                    {
                        "id": 7,
                        "name": "Balance",
                        "sortOrder": 1,
                        "progressionPoints": [
                            point(12, "Progressing"),
                            point(11, "Emerging"),
                            point(10, "Emerging", sortOrder=11, descriptionOrder="a"),
                            point(13, "Developing"),
                        ],
                    },
                ],
            },
        ]
    }


def taxonomy(data: Any = None, **options: Any) -> Taxonomy:
    levels, domains = read_taxonomy(data or source(), where="taxonomy.json")
    return Taxonomy(levels, domains, **options)


def reason(found: tuple[str, ...] | Fault) -> tuple[str, str]:
    assert isinstance(found, Fault), found
    return found.level, found.reason


def test_source_schema_is_read_sorted_and_keyed() -> None:
    tree = taxonomy()
    assert tree.levels == ("domain", "attribute", "progression")
    assert [item.key for item in tree.domains] == ["physical_development", "social_emotional_development"]
    assert [item.name for item in tree.domains[0].attributes] == ["Balance", "Running"]
    # Equal sort order: the description's order decides, "NULL" being none.
    assert [item.id for item in tree.domains[0].attributes[0].progression_points] == [11, 10, 12, 13]
    assert tree.domains[0].attributes[0].progression_points[0].description_order == ""
    assert tree.paths == tuple(sorted(tree.paths))
    assert ("physical_development", "Running", "Progressing") not in tree.paths
    assert ("social_emotional_development", "Emotions", "Progressing") not in tree.paths
    assert len(tree.paths) == 7
    assert tree.names_at("progression") == TITLES
    assert tree.names_at("attribute") == ("Balance", "Running", "Emotions")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Physical Development", "physical_development"),
        ("Social and Emotional Development", "social_emotional_development"),
        ("Social-Emotional Development", "social_emotional_development"),
        ("My Words (Language & Literacy)", "language_literacy"),
        ("Cognitive Development", "cognitive_development"),
        ("Approaches to Learning", "approaches_to_learning"),
        ("kitchen_and_dining", "kitchen_and_dining"),
        ("—", "domain_9"),
    ],
)
def test_domain_keys(name: str, key: str) -> None:
    assert domain_key(name, 9) == key


def test_legal_labels_by_id_key_and_name() -> None:
    tree = taxonomy()
    path = ("physical_development", "Balance", "Emerging")
    for values in (
        (1, 7, "Emerging"),
        ("1", "7", "Emerging"),
        ("physical_development", "Balance", "Emerging"),
        ("Physical Development", "Balance", " Emerging\u00a0"),
    ):
        assert tree.resolve(values) == path
    assert tree.describe(path) == {"domain_name": "Physical Development", "progression_description": "Description 11."}
    assert tree.descriptions(path) == ("Description 11.", "Description 10.")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((1, "", "Emerging"), ("attribute", "missing_field")),
        ((1, " \u00a0", "Emerging"), ("attribute", "missing_field")),
        ((None, 7, "Emerging"), ("domain", "missing_field")),
        ((1, 7, ""), ("progression", "missing_field")),
        ((1, 7, None), ("progression", "missing_field")),
        ((1, "a", "Emerging"), ("attribute", "unknown_label")),
        ((1, "Balanc", "Emerging"), ("attribute", "unknown_label")),
        ((1, "balance", "Emerging"), ("attribute", "unknown_label")),
        ((9, 7, "Emerging"), ("domain", "unknown_label")),
        ((1, 7, "emerging"), ("progression", "unknown_label")),
        ((1, 7, "Mastering"), ("progression", "unknown_label")),
        ((2, 7, "Emerging"), ("attribute", "invalid_label")),
        ((2, "Balance", "Emerging"), ("attribute", "invalid_label")),
        ((1, 8, "Progressing"), ("progression", "invalid_label")),
        ((2, 3, "Progressing"), ("progression", "invalid_label")),
        ((True, 7, "Emerging"), ("domain", "wrong_type")),
        ((1, 7.0, "Emerging"), ("attribute", "wrong_type")),
        ((1, 10**5000, "Emerging"), ("attribute", "wrong_type")),
        ((1, [7], "Emerging"), ("attribute", "wrong_type")),
    ],
)
def test_illegal_labels(values: tuple[object, ...], expected: tuple[str, str]) -> None:
    assert reason(taxonomy().resolve(values)) == expected


def test_a_fault_says_what_would_be_right() -> None:
    fault = taxonomy().resolve((1, 8, "Progressing"))
    assert isinstance(fault, Fault)
    assert "Running lacks" in fault.found
    assert fault.expected == "one of Emerging, Developing"


def test_a_given_description_must_be_one_of_the_levels() -> None:
    tree = taxonomy()
    assert tree.resolve((1, 7, "Emerging"), "Description 10.") == ("physical_development", "Balance", "Emerging")
    assert tree.resolve((1, 7, "Emerging"), "  ") == ("physical_development", "Balance", "Emerging")
    assert reason(tree.resolve((1, 7, "Emerging"), "Description 13.")) == ("description", "wrong_description")
    assert reason(tree.resolve((1, 7, "Emerging"), "Description")) == ("description", "wrong_description")
    assert reason(tree.resolve((1, 7, "Emerging"), 10)) == ("description", "wrong_type")


def test_hidden_points_can_be_let_in() -> None:
    path = ("social_emotional_development", "Emotions", "Progressing")
    tree = taxonomy(include_hidden=True)
    assert tree.resolve((2, 3, "Progressing")) == path
    assert path in tree.paths
    assert tree.digest != taxonomy().digest


def test_statistics() -> None:
    statistics = taxonomy().statistics()
    assert statistics["total_domains"] == 2
    assert statistics["total_attributes"] == 3
    assert statistics["total_progression_points"] == 9
    assert statistics["hidden_points"] == 1
    assert statistics["total_paths"] == 7
    assert statistics["progressions_by_level"] == {"Emerging": 4, "Developing": 3, "Progressing": 1}
    assert statistics["attributes_lacking_levels"] == [
        {"attribute": "Running", "missing": ["Progressing"]},
        {"attribute": "Emotions", "missing": ["Progressing"]},
    ]
    assert statistics["domains"][1] == {
        "id": 2,
        "key": "social_emotional_development",
        "name": "My Feelings (Social & Emotional Development)",
        "attribute_count": 1,
    }


def test_lookups() -> None:
    tree = taxonomy()
    found = tree.point(13)
    assert found is not None
    assert (found[0].id, found[1].name, found[2].title) == (1, "Balance", "Developing")
    assert tree.point(99) is None
    assert tree.domain("Physical") is None
    assert tree.domain(None) is None
    domain = tree.domain(2)
    assert domain is not None
    assert tree.attribute(domain, "Balance") is None


@pytest.mark.parametrize("include_hidden", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        source(),
        {"domains": [{"id": 1, "name": "travel", "labels": ["translate", {"id": 4, "name": "visa"}]}]},
        {"labels": ["yes", "no"]},
    ],
)
def test_the_normalised_form_comes_back(data: dict[str, Any], include_hidden: bool) -> None:
    tree = taxonomy(data, include_hidden=include_hidden)
    again = Taxonomy.from_json(json.loads(json.dumps(tree.to_json())))
    assert again == tree
    assert again.digest == tree.digest


def test_flat_and_plain_shapes() -> None:
    flat = taxonomy({"domains": [{"id": 1, "name": "Travel Desk", "labels": ["translate", {"id": 4, "name": "visa"}]}]})
    assert flat.levels == ("domain", "label")
    assert flat.paths == (("Travel Desk", "translate"), ("Travel Desk", "visa"))
    assert flat.resolve((1, 4)) == ("Travel Desk", "visa")
    assert reason(flat.resolve(("Travel Desk", "vis"))) == ("label", "unknown_label")
    assert reason(flat.resolve(("Travel Desk", None))) == ("label", "missing_field")
    assert flat.describe(("Travel Desk", "visa")) == {}
    plain = taxonomy({"labels": ["yes", "no"]})
    assert plain.levels == ("label",)
    assert plain.resolve(("no",)) == ("no",)
    assert reason(plain.resolve(("maybe",))) == ("label", "unknown_label")
    assert plain.names_at("label") == ("yes", "no")


def test_the_digest_ignores_order_and_unknown_members() -> None:
    data = source()
    data["licence"] = "none"
    data["domains"].reverse()
    data["domains"][0]["colour"] = "red"
    assert taxonomy(data).digest == taxonomy().digest


def change(path: str, value: Any) -> dict[str, Any]:
    """Return the source with one member set; None removes it."""
    data: Any = source()
    *parents, last = [int(part) if part.isdecimal() else part for part in path.split(".")]
    node = data
    for part in parents:
        node = node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return data  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("domains.1.id", 2, "has an id or name twice"),
        ("domains.1.name", "social_emotional_development", "has an id or name twice"),
        ("domains.1.name", "2", "has an id or name twice"),
        ("domains.1.attributes.0.id", 3, "'3', which attribute"),
        ("domains.1.attributes.0.name", "BALANCE", "'balance', which attribute"),
        ("domains.1.attributes.0.progressionPoints.0.id", 30, "'30', which point"),
        ("domains.1.attributes.0.progressionPoints.0.progressionPointsTitle", "emerging", "'emerging', which"),
        ("domains.1.attributes.0.progressionPoints", [], "Running"),
        ("domains.1.attributes", [], "no attributes"),
        ("domains.1.id", None, "no id"),
        ("domains.1.attributes.0.id", None, "no id"),
        ("domains.1.name", None, "domains[1].name"),
        ("domains.1.attributes.0.name", " ", "domains[1].attributes[0].name"),
        ("domains.1.attributes.0.name", 5, "domains[1].attributes[0].name"),
        ("domains.1.attributes.0.progressionPoints.0.description", "", "progressionPoints[0].description"),
        ("domains.1.labels", ["x"], "mixes two shapes"),
        ("domains", [], "none of the known shapes"),
        ("domains", {"a": 1}, "none of the known shapes"),
        ("domains.0", "text", "domains[0]"),
    ],
)
def test_bad_taxonomies_are_refused_with_their_place(path: str, value: Any, said: str) -> None:
    with pytest.raises(FinetuneError) as caught:
        read_taxonomy(change(path, value), where="taxonomy.json")
    assert said in str(caught.value)
    assert "taxonomy.json" in str(caught.value)
    assert "Mend:" in str(caught.value)


def test_labels_that_occur_twice_are_refused() -> None:
    for data in (
        {"labels": ["a", "A"]},
        {"domains": [{"id": 1, "name": "d", "labels": ["a", "a"]}]},
        {"domains": [{"id": 1, "name": "d", "labels": ["a"]}, {"id": 1, "name": "e", "labels": ["b"]}]},
    ):
        with pytest.raises(FinetuneError, match="twice"):
            read_taxonomy(data, where="taxonomy.json")
    # The same label in two domains is two labels.
    two = {"domains": [{"id": 1, "name": "d", "labels": ["a"]}, {"id": 2, "name": "e", "labels": ["a"]}]}
    assert taxonomy(two).paths == (("d", "a"), ("e", "a"))


@pytest.mark.parametrize("data", [[], "text", 3, None, {}, {"labels": []}, {"labels": "a"}])
def test_other_json_is_no_taxonomy(data: Any) -> None:
    with pytest.raises(FinetuneError):
        read_taxonomy(data, where="taxonomy.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "taxonomy file is missing"),
        (b"", "taxonomy file is empty"),
        (b" \n", "taxonomy file is empty"),
        (b'{"domains": [', "not valid JSON"),
        (b'{"labels": ["a"], "labels": ["b", "c"]}', "'labels' occurs twice"),
        (b"[" * 100_000, "not valid JSON"),
        ("é".encode("latin-1"), "not UTF-8"),
    ],
)
def test_unreadable_files(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "taxonomy.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FinetuneError) as caught:
        Taxonomy.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    with pytest.raises(FinetuneError, match="cannot be read"):
        Taxonomy.load(tmp_path)


def test_a_file_with_bom_is_read(tmp_path: Path) -> None:
    path = tmp_path / "taxonomy.json"
    path.write_text(json.dumps({"labels": ["a", "b"]}), encoding="utf-8-sig")
    assert Taxonomy.load(path).paths == (("a",), ("b",))


def test_the_shipped_taxonomy_is_complete() -> None:
    path = Path(__file__).parents[2] / "finetune_assets" / "defs" / "childcare" / "taxonomy.json"
    tree = Taxonomy.load(path)
    statistics = tree.statistics()
    assert statistics["total_domains"] == 5
    assert statistics["total_attributes"] >= 24
    assert tree.names_at("progression") == ("Emerging", "Developing", "Progressing", "Advancing", "Refining")
    for tree_path in tree.paths:
        assert tree.describe(tree_path)["progression_description"]


def test_real_labels(real_data: Path) -> None:
    tree = Taxonomy.load(real_data / "classification" / "clinc150_taxonomy.json")
    assert len(tree.paths) == 150
    assert reason(tree.resolve(("oos", "oos"))) == ("domain", "unknown_label")


names = st.text(min_size=1, max_size=12).filter(lambda text: tidy(text) != "")


@given(st.lists(names, min_size=1, max_size=8, unique_by=lambda text: tidy(text).casefold()), names)
def test_exactly_the_listed_labels_are_legal(labels: list[str], other: str) -> None:
    tree = taxonomy({"labels": labels})
    known = {tidy(label) for label in labels}
    assert {path[0] for path in tree.paths} == known
    found = tree.resolve((other,))
    assert (found == (tidy(other),)) == (tidy(other) in known)


@given(st.text(max_size=40))
def test_tidy_is_idempotent(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


@given(
    st.tuples(
        *[st.one_of(st.none(), st.integers(0, 40), st.text(max_size=3), st.sampled_from(["Balance", *TITLES]))] * 3
    ),
    st.one_of(st.none(), st.text(max_size=5)),
)
def test_whatever_resolves_is_a_listed_path(values: tuple[object, ...], description: str | None) -> None:
    tree = taxonomy()
    found = tree.resolve(values, description)
    assert isinstance(found, Fault) or found in tree.paths
