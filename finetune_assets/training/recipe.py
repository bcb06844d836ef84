"""How an adapter is trained: profile, base model, trainer settings.

Here belongs the translation of a job into what transformers, peft and trl take. The run itself is `adapter.py`'s.
"""

# ruff: noqa: TID253 - only a subprocess loads this module, and it exists to use torch, transformers, peft and trl.
from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from pydantic import BaseModel, ConfigDict, Field
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig

from finetune_assets.records.errors import FinetuneError
from finetune_assets.training.batches import split_batch
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.request import TuningRequest

_LOGS_A_RUN = 50
_EVALUATION_ROWS = 32


class AdapterJob(BaseModel):
    """The job file of an adapter run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str = Field(min_length=1, description="Folder of the base model, or a hub id.")
    train: Path = Field(description="Training rows as chat JSONL.")
    validation: Path | None = Field(default=None, description="Validation rows as chat JSONL; None skips evaluation.")
    work: Path = Field(description="Folder for checkpoints; a later run with the same request continues from it.")
    out: Path = Field(description="Folder to fill with the adapter; it exists.")
    request: TuningRequest = Field(description="What is to be trained.")
    chat_template: str | None = Field(
        default=None, description="Jinja template; None takes the base's own. Serving must use the same."
    )
    expected_parent: int | None = Field(default=None, ge=1, description="Process id whose end ends this run.")


@dataclass(frozen=True, slots=True)
class Profile:
    """What differs between a CPU and a GPU.

    Attributes:
        on_gpu: train on CUDA in bfloat16 with activation checkpointing; else on the CPU in float32 without.
        batch_size: rows in one forward pass.
        accumulation: forward passes in one optimizer step.
    """

    on_gpu: bool
    batch_size: int
    accumulation: int


def choose_profile(config: TuningConfig, halvings: int) -> Profile:
    """Choose the profile that a configuration asks for.

    Raises:
        FinetuneError: when it asks for a GPU and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if config.profile == "gpu" and not has_gpu:
        raise FinetuneError(
            "no GPU", where="tuning.profile", found="gpu, but CUDA is not available", mend="set it to auto or cpu"
        )
    batch_size, accumulation = split_batch(config.batch_size, config.gradient_accumulation, halvings)
    return Profile(has_gpu and config.profile != "cpu", batch_size, accumulation)


def load_base(job: AdapterJob, profile: Profile) -> tuple[Any, Any]:
    """Load model and tokenizer, from safetensors only and without running code that comes with them.

    Raises:
        FinetuneError: when the base cannot be loaded so.
    """
    config = job.request.config
    common = {"trust_remote_code": False, "revision": config.revision or "main"}
    options: dict[str, Any] = {"dtype": torch.bfloat16 if profile.on_gpu else torch.float32}
    if config.quantisation == "nf4":
        options["quantization_config"] = _four_bit(profile)
    try:
        tokenizer = AutoTokenizer.from_pretrained(job.base, **common)
        model = AutoModelForCausalLM.from_pretrained(job.base, use_safetensors=True, **common, **options)
    except (OSError, ValueError) as error:
        raise FinetuneError(
            "base model cannot be loaded",
            where=job.base,
            found=str(error),
            expected="a folder or hub id with safetensors weights and no code of its own",
            mend="check tuning.base_model and tuning.revision; gated models need HF_TOKEN",
        ) from error
    if tokenizer.eos_token_id is None:
        raise FinetuneError("tokenizer has no end-of-text token", where=job.base, mend="choose another base model")
    return model, tokenizer


def _four_bit(profile: Profile) -> Any:
    if find_spec("bitsandbytes") is None:
        raise FinetuneError(
            "bitsandbytes is not installed",
            where="tuning.quantisation",
            found="nf4",
            mend="pip install bitsandbytes, or set quantisation to none",
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if profile.on_gpu else torch.float32,
    )


def stop_ids(model: Any) -> list[int]:
    """Return the tokens that end an answer by the model's generation settings."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    found = configured if isinstance(configured, list) else [configured]
    return [token for token in found if token is not None]


def trainer_arguments(job: AdapterJob, profile: Profile, rows: int, *, evaluates: bool) -> SFTConfig:
    """Return the trainer's settings for a job.

    Args:
        job: the job.
        profile: CPU or GPU.
        rows: training rows.
        evaluates: whether there are validation rows.
    """
    config = job.request.config
    steps = math.ceil(math.ceil(rows / (profile.batch_size * profile.accumulation)) * config.epochs)
    stops_early = config.early_stopping.patience > 0 and evaluates
    return SFTConfig(
        output_dir=str(job.work),
        per_device_train_batch_size=profile.batch_size,
        per_device_eval_batch_size=max(_EVALUATION_ROWS, profile.batch_size) if not profile.on_gpu else 8,
        gradient_accumulation_steps=profile.accumulation,
        num_train_epochs=config.epochs,
        learning_rate=config.peak_learning_rate,
        warmup_steps=config.warmup,
        lr_scheduler_type=config.scheduler,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_gradient_norm,
        optim="adamw_torch_fused",
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=not profile.on_gpu,
        bf16=profile.on_gpu,
        activation_checkpointing=profile.on_gpu,
        dataloader_pin_memory=profile.on_gpu,
        # The rows are encoded already, by the code that serving uses.
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        logging_steps=max(1, steps // _LOGS_A_RUN),
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=_trackers(config),
        prediction_loss_only=True,
        eval_strategy="steps" if stops_early else "no",
        eval_steps=config.early_stopping.evaluate_every if stops_early else None,
        save_strategy="steps",
        # The best state can be loaded again only when it was saved: saving follows evaluation then.
        save_steps=config.early_stopping.evaluate_every if stops_early else config.checkpoint_every,
        save_total_limit=config.keep_checkpoints,
        load_best_model_at_end=stops_early,
        metric_for_best_model="eval_loss" if stops_early else None,
        greater_is_better=False if stops_early else None,
    )


def _trackers(config: TuningConfig) -> list[str]:
    for name in config.report_to:
        if find_spec(name) is None:
            raise FinetuneError(
                "experiment tracker is not installed",
                where="tuning.report_to",
                found=name,
                mend=f"pip install {name}, or take it out of report_to",
            )
    return list(config.report_to)


def lora_settings(config: TuningConfig) -> LoraConfig:
    """Return the adapter's settings as peft takes them."""
    targets = config.lora.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        bias="none",
    )
