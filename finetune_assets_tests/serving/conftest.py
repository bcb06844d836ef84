"""A tiny random model, two random adapters, and a home with releases made of them: everything real but the training."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from finetune_assets.datasets.render import CHATML
from finetune_assets.records.digests import digest_of, digest_of_file
from finetune_assets.records.task_type import TaskType
from finetune_assets.releases.manifest import AdapterReference, BaseReference, Probe, ReleaseManifest, store_manifest
from finetune_assets.releases.registry import Registry
from finetune_assets.serving.__main__ import bind
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.engines.local import LocalEngine
from finetune_assets.serving.gateway import create_app
from finetune_assets.serving.listing import ReleaseRef
from finetune_assets.serving.release import ReleaseSource, prompt_hash
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets.task_types import build_task_type

TASK = "intents"
TEXTS = ["wake me at seven", "what is my balance", "book a table for two", "où est la gare ?", "play it louder, please"]
_DOMAINS = {
    "home": ["alarm", "lights", "music"],
    "banking": ["balance", "transfer", "pin_change"],
    "travel": ["flight", "hotel", "translate"],
}
RANK, ALPHA = 4, 16


def make_base(folder: Path, *, seed: int = 0) -> Path:
    """Save a random Llama of about 30,000 weights with a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(['{"domain":"home","label":"alarm"} user assistant system'] * 2, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Weights as small as usual would make a random model say the same whatever it reads.
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path, *, seed: int, **changes: Any) -> Path:
    """Save a random LoRA adapter of every attention and MLP matrix, as peft lays it out."""
    import torch
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, weight in load_file(base / "model.safetensors").items():
        if name.endswith("_proj.weight"):
            stem = "base_model.model." + name.removesuffix(".weight")
            tensors[f"{stem}.lora_A.weight"] = torch.randn(RANK, weight.shape[1], generator=generator) * 0.2
            tensors[f"{stem}.lora_B.weight"] = torch.randn(weight.shape[0], RANK, generator=generator) * 0.2
    save_file(tensors, folder / "adapter_model.safetensors")
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "lora_dropout": 0.0}
    config |= {"bias": "none", "target_modules": modules, "base_model_name_or_path": "", "inference_mode": True}
    (folder / "adapter_config.json").write_text(json.dumps(config | changes))
    return folder


@dataclass
class Workshop:
    """A home, and what makes releases in it."""

    home: Home
    task_type: TaskType
    base: Artifact

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.home.artifacts)

    def registry(self) -> Registry:
        return Registry(Database.open(self.home.database_url))

    def adapter_artifact(self, folder: Path, *, template_hash: str = "") -> Artifact:
        digest = digest_of(digest_of_file(folder / "adapter_model.safetensors"))
        facts = {
            "adapter_digest": digest,
            "template_hash": template_hash or prompt_hash(self.task_type, CHATML),
        }
        with self.store.create("tuned_adapter", digest_of([digest, facts])[:20]) as staging:
            for path in folder.iterdir():
                (staging.path / path.name).write_bytes(path.read_bytes())
            return staging.commit(facts, identity={"adapter": digest})

    def manifest(self, folder: Path, *, template_hash: str = "", **changes: Any) -> ReleaseManifest:
        adapter = self.adapter_artifact(folder, template_hash=template_hash)
        digest = adapter.manifest["adapter_digest"]
        engine = LocalEngine(self.base.path, adapter.path, self.task_type.choices(), CHATML)
        fields = [{"text": text} for text in TEXTS]
        answers = engine.complete([self.task_type.input_messages(item) for item in fields])
        probes = tuple(
            Probe(fields=item, text=answer.text, label_path=self.task_type.parse(answer.text).label_path)
            for item, answer in zip(fields, answers, strict=True)
        )
        facts: dict[str, Any] = {
            "task": TASK,
            "candidate": digest_of([self.base.digest, digest]),
            "task_type": self.task_type.manifest(),
            "template_hash": prompt_hash(self.task_type, CHATML),
            "chat_template": CHATML,
            "base": BaseReference(
                name="tiny", digest=self.base.digest, artifact_kind=self.base.kind, artifact_key=self.base.key
            ),
            "adapter": AdapterReference(key=adapter.key, digest=digest),
            "probes": probes,
        }
        return ReleaseManifest(**(facts | changes))

    def release(self, folder: Path, **changes: Any) -> tuple[ReleaseRef, ReleaseManifest]:
        """Make a release of an adapter, approved but not live."""
        manifest = self.manifest(folder, **changes)
        key = store_manifest(self.store, manifest).key
        registry = self.registry()
        release = registry.register(
            TASK,
            manifest.candidate,
            base_model="tiny",
            request_key=manifest.adapter.key,
            dataset_digest="d",
            report_key="r",
            report_digest="r",
            scores={},
            artifact_key=key,
        )
        if release.state == "candidate":
            registry.transition(release.id, "validated", by="test")
            registry.transition(release.id, "approved", by="test")
        ref = ReleaseRef(task=TASK, version=release.version, candidate=manifest.candidate, artifact_key=key)
        return ref, manifest

    def deploy(self, ref: ReleaseRef) -> None:
        """Move the live pointer to a release: by a deploy, or back by a rollback."""
        registry = self.registry()
        release = registry.release(TASK, ref.candidate)
        assert release is not None
        live = registry.live(TASK)
        action = "deploy" if release.state == "approved" else "rollback"
        seq = 0 if live is None else live.seq
        registry.move_pointer(TASK, release.id, expected_seq=seq, action=action, by="test")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture(scope="session")
def adapters(tmp_path_factory: pytest.TempPathFactory, base: Path) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return make_adapter(folder / "one", base, seed=1), make_adapter(folder / "two", base, seed=2)


@pytest.fixture(scope="session")
def task_type(tmp_path_factory: pytest.TempPathFactory) -> TaskType:
    folder = tmp_path_factory.mktemp("task")
    domains = [{"id": name, "name": name.title(), "labels": labels} for name, labels in _DOMAINS.items()]
    (folder / "taxonomy.json").write_text(json.dumps({"domains": domains}))
    attributes = {"taxonomy": "taxonomy.json", "prompt": {"system": "Sort it.", "user": "Say: {text}"}}
    return build_task_type("classification", attributes, folder)


@pytest.fixture
def workshop(tmp_path: Path, base: Path, task_type: TaskType) -> Workshop:
    return open_workshop(tmp_path, base, task_type)


def open_workshop(folder: Path, base: Path, task_type: TaskType) -> Workshop:
    home = Home(folder / "home").ensure()
    with ArtifactStore(home.artifacts).create("embedded_base_model", "tiny") as staging:
        for path in base.iterdir():
            (staging.path / path.name).write_bytes(path.read_bytes())
        artifact = staging.commit({})
    return Workshop(home, task_type, artifact)


@contextmanager
def serving(source: ReleaseSource, *, home: Home | None = None, **settings: Any) -> Iterator[httpx.Client]:
    """Serve a source over real HTTP on loopback, in a thread; give a client of it."""
    app = create_app(source, GatewaySettings(poll_s=0.05, **settings), home=home)
    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def wait_ready(client: httpx.Client) -> None:
    wait_until(lambda: client.get("/readyz").status_code == 200)
