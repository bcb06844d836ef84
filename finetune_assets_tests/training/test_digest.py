import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.digest import adapter_digest, canonical_adapter_config, tensors_digest

CONFIG = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "/a/b"}


def write_adapter(folder, tensors, config=CONFIG):
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def tensors(scale=1.0):
    return {"b": np.arange(6, dtype=np.float32).reshape(2, 3) * scale, "a": np.ones(4, dtype=np.float16)}


def reordered(path, names):
    """Write the tensors of `path` again in another order, with other metadata."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    data, entries = b"", {"__metadata__": {"note": "another writer"}}
    for name in names:
        begin, end = header[name]["data_offsets"]
        block = raw[8 + length + begin : 8 + length + end]
        entries[name] = {**header[name], "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_the_order_in_the_file_does_not_matter(tmp_path):
    path = write_adapter(tmp_path / "x", tensors()) / "adapter_model.safetensors"
    before = tensors_digest(path)
    for names in (["a", "b"], ["b", "a"]):
        reordered(path, names)
        assert tensors_digest(path) == before


@given(
    values=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8),
    index=st.integers(0, 7),
    change=st.floats(0.5, 2.0, width=32),
)
def test_one_changed_weight_changes_the_digest(tmp_path_factory, values, index, change):
    folder = tmp_path_factory.mktemp("digest")
    array = np.array(values, dtype=np.float32)
    other = array.copy()
    other[index % len(values)] += np.float32(change)
    save_file({"w": array}, folder / "1")
    save_file({"w": other}, folder / "2")
    same = array.tobytes() == other.tobytes()
    assert (tensors_digest(folder / "1") == tensors_digest(folder / "2")) is same


def test_shape_and_type_count(tmp_path):
    flat = np.zeros(4, dtype=np.float32)
    for name, array in {"1": flat, "2": flat.reshape(2, 2), "3": flat.view(np.int32)}.items():
        save_file({"w": array}, tmp_path / name)
    assert len({tensors_digest(tmp_path / name) for name in "123"}) == 3


def test_an_adapters_place_is_not_its_identity(tmp_path):
    one = write_adapter(tmp_path / "1", tensors())
    moved = {**CONFIG, "base_model_name_or_path": "/c", "target_modules": ["v_proj", "q_proj"], "peft_version": "9"}
    assert adapter_digest(write_adapter(tmp_path / "2", tensors(), moved)) == adapter_digest(one)


def test_an_adapters_weights_and_settings_are(tmp_path):
    one = adapter_digest(write_adapter(tmp_path / "1", tensors()))
    assert adapter_digest(write_adapter(tmp_path / "2", tensors(2.0))) != one
    assert adapter_digest(write_adapter(tmp_path / "3", tensors(), {**CONFIG, "lora_alpha": 16})) != one


def test_canonical_config_keeps_lists_that_have_an_order():
    config = canonical_adapter_config({"target_modules": ["b", "a"], "layers": [3, 1]})
    assert config == {"target_modules": ["a", "b"], "layers": [3, 1]}


@pytest.mark.parametrize("cut", [0, 5, 20, -3])
def test_a_torn_file_is_named(tmp_path, cut):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save(tensors())[:cut])
    with pytest.raises(FinetuneError, match=r"not valid safetensors at .*model\.safetensors"):
        tensors_digest(path)


def test_a_lying_header_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")
    with pytest.raises(FinetuneError, match="header"):
        tensors_digest(path)


def test_missing_and_broken_adapter_files_are_named(tmp_path):
    with pytest.raises(FinetuneError, match=r"adapter_config\.json"):
        adapter_digest(tmp_path)
    folder = write_adapter(tmp_path / "x", tensors())
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(FinetuneError, match="not JSON"):
        adapter_digest(folder)
