from __future__ import annotations

import json
import shutil

import pytest
import torch

from finetune_assets.records.errors import FinetuneError
from finetune_assets.serving.engines import lora
from finetune_assets.serving.engines.weights import load_model
from finetune_assets_tests.serving.conftest import make_adapter, make_base


def merged_by_peft(base, adapter):
    from peft import PeftModel

    model, _ = load_model(base, None, None)
    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().state_dict()


@pytest.mark.parametrize("changes", [{}, {"use_rslora": True}, {"lora_alpha": 3}])
def test_plain_lora_is_merged_as_peft_does_without_peft(base, tmp_path, monkeypatch, changes):
    adapter = make_adapter(tmp_path / "adapter", base, seed=5, **changes)
    expected = merged_by_peft(base, adapter)
    monkeypatch.setattr(lora, "_merge_with_peft", lambda *_: pytest.fail("plain LoRA does not need peft"))
    found = load_model(base, adapter, None)[0].state_dict()
    assert found.keys() == expected.keys()
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-6)
    before = load_model(base, None, None)[0].state_dict()
    changed = {name for name in found if not torch.equal(found[name], before[name])}
    assert changed == {name for name in found if name.endswith("_proj.weight")}


@pytest.mark.parametrize(
    "changes",
    [
        {"rank_pattern": {"q_proj": 2}},
        {"bias": "all"},
        {"peft_type": "ADALORA"},
        {"init_lora_weights": "pissa"},
        {"a_later_kind_of_lora": True},
    ],
)
def test_what_is_more_than_plain_lora_goes_to_peft(base, tmp_path, monkeypatch, changes):
    adapter = make_adapter(tmp_path / "adapter", base, seed=5, **changes)
    sent = []
    monkeypatch.setattr(lora, "_merge_with_peft", lambda model, folder: sent.append(folder) or model)
    load_model(base, adapter, None)
    assert sent == [adapter]


def test_dora_is_merged_by_peft(base, tmp_path):
    from peft import LoraConfig, get_peft_model

    model, _ = load_model(base, None, None)
    dora = get_peft_model(model, LoraConfig(r=2, use_dora=True, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in dora.named_parameters():
            if "lora_B" in name or "magnitude" in name:
                weight.add_(0.3)
    dora.save_pretrained(tmp_path / "dora")
    found = load_model(base, tmp_path / "dora", None)[0].state_dict()
    for name, weight in merged_by_peft(base, tmp_path / "dora").items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-6)


def test_an_adapter_of_another_base_is_refused(base, adapters, tmp_path):
    from safetensors.torch import load_file, save_file

    other = shutil.copytree(adapters[0], tmp_path / "other")
    tensors = load_file(other / lora.WEIGHTS)
    name = next(key for key in tensors if key.endswith("lora_B.weight"))
    save_file({**tensors, name: torch.zeros(7, 4)}, other / lora.WEIGHTS)
    with pytest.raises(FinetuneError, match="does not fit this base model"):
        load_model(base, other, None)


def test_pickled_weights_are_never_read(base, adapters, tmp_path):
    pickled = shutil.copytree(adapters[0], tmp_path / "pickled")
    (pickled / lora.WEIGHTS).rename(pickled / "adapter_model.bin")
    with pytest.raises(FinetuneError, match=r"adapter_model\.bin.*never read"):
        load_model(base, pickled, None)
    model = shutil.copytree(base, tmp_path / "base")
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(FinetuneError, match=r"pytorch_model\.bin.*never read"):
        load_model(model, None, None)


def test_a_folder_that_is_not_there_is_not_looked_up_on_the_hub(tmp_path):
    for name in (tmp_path / "gone", str(tmp_path / "gone"), "./gone"):
        with pytest.raises(FinetuneError, match="base model is missing"):
            load_model(name, None, None)


def test_a_model_that_brings_its_own_code_is_refused(base, tmp_path):
    strange = shutil.copytree(base, tmp_path / "strange")
    config = json.loads((strange / "config.json").read_text())
    config |= {"model_type": "strange", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (strange / "config.json").write_text(json.dumps(config))
    (strange / "code.py").write_text("raise SystemExit('code of a model was run')")
    with pytest.raises(FinetuneError, match="base model cannot be loaded"):
        load_model(strange, None, None)


def test_base_with_other_seed_differs(tmp_path, base):
    other = make_base(tmp_path / "other", seed=1)
    assert (other / "model.safetensors").read_bytes() != (base / "model.safetensors").read_bytes()
