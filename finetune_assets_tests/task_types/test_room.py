from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from finetune_assets.records.errors import FinetuneError
from finetune_assets.task_types import TASK_TYPES, build_task_type, task_type_from_manifest
from finetune_assets.task_types.answers import find_object
from finetune_assets.task_types.classification import ClassificationConfig
from finetune_assets.task_types.photos import Photo, PhotoFault, read_photos
from finetune_assets.task_types.prompts import FieldFault, Prompt, PromptConfig, build_prompt
from finetune_assets.task_types.shapes import SHAPES
from finetune_assets_tests.task_types.taxonomies import PLAIN, make_task

IMAGES = {
    "image/jpeg": b"\xff\xd8\xff\xe0 and more",
    "image/png": b"\x89PNG\r\n\x1a\n and more",
    "image/gif": b"GIF89a and more",
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPVP8 and more",
}


def test_unknown_task_types_are_named(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError, match=r"clasification.*expected classification"):
        build_task_type("clasification", {}, tmp_path)
    with pytest.raises(FinetuneError, match="unknown task type"):
        task_type_from_manifest({"task_type": "speech"})
    with pytest.raises(FinetuneError, match="expected schema classification/1"):
        task_type_from_manifest({"task_type": "classification", "schema": "classification/0"})
    manifest = make_task(tmp_path, PLAIN).manifest()
    with pytest.raises(FinetuneError, match="manifest cannot be read"):
        task_type_from_manifest({name: value for name, value in manifest.items() if name != "taxonomy"})
    with pytest.raises(FinetuneError, match="manifest cannot be read"):
        task_type_from_manifest({**manifest, "config": {**manifest["config"], "colour": "red"}})


def test_the_room_is_light() -> None:
    code = (
        "import sys, finetune_assets.task_types;"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'pyarrow', 'jinja2', 'dagster'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def fields_of(model: type[BaseModel], path: str = "") -> list[tuple[str, str | None]]:
    found: list[tuple[str, str | None]] = []
    for name, info in model.model_fields.items():
        found.append((f"{path}{name}", info.description))
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found.extend(fields_of(info.annotation, f"{path}{name}."))
    return found


@pytest.mark.parametrize("name", TASK_TYPES)
def test_every_field_of_the_yaml_is_described(name: str) -> None:
    model = TASK_TYPES[name].Config
    described = fields_of(model)
    assert "prompt.user" in dict(described)
    assert [path for path, description in described if not description or not description.endswith(".")] == []


def test_the_yaml_section_forbids_unknown_words() -> None:
    assert ClassificationConfig.model_json_schema()["additionalProperties"] is False
    config = ClassificationConfig(taxonomy="taxonomy.json")
    assert ClassificationConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: "-".join(shape.levels))
def test_shapes_are_consistent(shape: Any) -> None:
    assert set(shape.target_keys) == set(shape.levels)
    assert len(shape.level_fields) == len(shape.levels)
    names = [name for names in shape.aliases.values() for name in names]
    assert len(names) == len(set(names)), "one source name stands for two fields"
    own = {shape.id_field, shape.text_field, *shape.level_fields, *shape.stated_fields, *shape.whole_number_fields}
    assert own <= set(shape.aliases)


# --- answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":1}', {"a": 1}),
        (' \n{"a":1}\n', {"a": 1}),
        ('```json\n{"a":1}\n```', {"a": 1}),
        ('```\n{"b":1}\n```\n```\n{"a":2}\n```', {"a": 2}),
        ('The answer is {"a":{"b":[1]}} {see above}', {"a": {"b": [1]}}),
        ('{not this} but {"x":0} and {"a":"}"} or {"a":3}', {"a": "}"}),
        ("{" * 4000 + '{"a":1}', {"a": 1}),
        ("{" * 5000 + '{"a":1}', None),
        ('{"a":1,"a":2}', None),
        ('{"a":NaN}', None),
        ('{"b":1}', None),
        ('[{"a":1}]', None),
        ('{"a":' * 3000, None),
        ("{" * 150 + '{"a":1}', {"a": 1}),
    ],
)
def test_objects_are_found(text: str, expected: dict[str, Any] | None) -> None:
    found, problem = find_object(text, ["a"])
    assert found == expected
    assert (problem == "") == (expected is not None)


# --- photos


@pytest.mark.parametrize("mime_type", IMAGES)
def test_local_photos_are_told_by_their_content(tmp_path: Path, mime_type: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "p.jpg").write_bytes(IMAGES[mime_type])
    (tmp_path / "copy.png").write_bytes(IMAGES[mime_type])
    photos = read_photos(["sub/../sub/p.jpg", str(tmp_path / "copy.png")], tmp_path)
    assert isinstance(photos, list)
    assert [photo.attachment.mime_type for photo in photos] == [mime_type, mime_type]
    assert [photo.attachment.uri for photo in photos] == ["sub/p.jpg", "copy.png"]
    # The same picture under two names is the same picture.
    assert photos[0].identity == photos[1].identity
    assert photos[0].identity.startswith("sha256:")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("gone.jpg", "missing_photo"),
        (".", "missing_photo"),
        ("a\0b.jpg", "missing_photo"),
        ("note.jpg", "unsupported_photo"),
        ("data:image/png;base64,AAAA", "unsupported_photo"),
        ("file:///etc/passwd", "unsupported_photo"),
        ("../secret.png", "photo_outside_folder"),
        ("/etc/passwd", "photo_outside_folder"),
        ("link.png", "photo_outside_folder"),
        ("gs://b/\ud800.png", "lone_surrogate"),
        (7, "wrong_type"),
        (["gs://b/p.png", {"uri": "x"}], "wrong_type"),
    ],
)
def test_unusable_photos(tmp_path: Path, value: Any, reason: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(IMAGES["image/png"])
    (folder / "note.jpg").write_text("no image")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    found = read_photos(value, folder)
    assert isinstance(found, PhotoFault), found
    assert found.reason == reason


def test_without_a_folder_only_remote_photos_count() -> None:
    assert read_photos(None, None) == []
    assert isinstance(read_photos("p.png", None), PhotoFault)
    found = read_photos("gs://b/p", None)
    assert isinstance(found, list)
    assert isinstance(found[0], Photo)
    assert found[0].attachment.mime_type == "image/jpeg"


# --- prompts


def prompt_of(labels: tuple[str, ...] = (), **wording: Any) -> Prompt:
    config = PromptConfig(**wording)
    return build_prompt(
        config, text_field="notes", known=("notes", "age", "place"), whole_numbers={"age"}, labels=labels
    )


def test_placeholders_defaults_and_literal_braces() -> None:
    prompt = prompt_of(
        system="",
        user='Age {age}, at {place}: {notes} {notes}. Write {"a": {}}.',
        defaults={"age": "unknown", "place": "-"},
    )
    assert prompt.fields == ("age", "place", "notes")

    def ask(**fields: Any) -> str:
        turns = prompt.messages(fields)
        assert not isinstance(turns, FieldFault)
        assert [turn["role"] for turn in turns] == ["user"]
        return turns[0]["content"]

    assert ask(notes=" {age} ", age=40) == 'Age 40, at -: {age} {age}. Write {"a": {}}.'
    assert ask(notes="x", age=" 41 ").startswith("Age 41,")
    for age in ("three", 3.5, True, None, "", [3]):
        assert ask(notes="x", age=age).startswith("Age unknown,")
    assert prompt.messages({"notes": "x", "place": 1.5}) == FieldFault("place", "wrong_type", "float", "text")


def test_control_tokens_cannot_be_built_across_placeholders() -> None:
    turns = prompt_of(system="S", user="<{notes}").messages({"notes": "|im_end|>"})
    assert turns == [{"role": "system", "content": "S"}, {"role": "user", "content": "< |im_end|>"}]


def test_labels_are_listed_on_request() -> None:
    assert prompt_of(("b", "c"), system="A.", list_labels=True).system == "A.\nThe legal answers are:\nb\nc"
    assert prompt_of(("b",), system="", list_labels=True).system == "The legal answers are:\nb"
    assert prompt_of(("b",)).system == "Answer with the label as JSON."


@given(st.text(min_size=1, max_size=60).filter(lambda text: "<" not in text and "[" not in text and "＜" not in text))
def test_ordinary_text_reaches_the_model_unchanged(text: str) -> None:
    turns = prompt_of().messages({"notes": text})
    if isinstance(turns, FieldFault):
        assert turns.reason == "missing_field"
    else:
        assert turns[-1]["content"] == text.strip()
