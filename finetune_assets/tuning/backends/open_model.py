"""Managed tuning of open models (Gemma, Llama, Qwen, …): what the service is asked for."""

from __future__ import annotations

from finetune_assets.tuning.backends.managed_jobs import ManagedTuning, TuneCall, common_config, rank_of
from finetune_assets.tuning.backends.protocol import JobRequest
from finetune_assets.tuning.cloud.errors import RejectedError

MODES = {"peft": "TUNING_MODE_PEFT_ADAPTER", "full": "TUNING_MODE_FULL"}


class OpenModelBackend(ManagedTuning):
    """Adapters or all weights of an open model; the weights are written to Cloud Storage.

    Whether a job names a tuned model is not promised: the output folder is what counts.
    """

    name = "open_model"
    agent = "gcp-sa-vertex-moss-ft"

    def call_of(self, request: JobRequest) -> TuneCall:
        """Return what the service is asked for.

        Raises:
            RejectedError: for settings that open models do not have.
        """
        from google.genai import types

        config = request.request.config
        managed = config.managed_settings
        _refuse_foreign(request)
        fields = common_config(request, adapter_size=rank_of(request) if managed.mode == "peft" else None)
        fields |= {
            "tuning_mode": MODES[managed.mode],
            "learning_rate": config.peak_learning_rate,
            "batch_size": config.batch_size,
            "output_uri": request.output_uri,
        }
        if managed.method == "distillation":
            fields["base_teacher_model"] = managed.teacher
        if managed.continue_from:
            fields["custom_base_model"] = managed.continue_from
        return TuneCall(config.base_model, types.CreateTuningJobConfig(**fields))


def _refuse_foreign(request: JobRequest) -> None:
    managed = request.request.config.managed_settings
    if not request.output_uri:
        raise RejectedError("an open model's job needs a folder for its weights", where="cloud.bucket")
    if managed.method == "dpo":
        raise RejectedError(
            "open models are not tuned by preferences",
            where="tuning.managed.method",
            found="dpo",
            expected="sft or distillation",
            mend="take backend gemini, or train preferences with backend custom_job",
        )
    if managed.continue_from and not managed.continue_from.startswith("gs://"):
        raise RejectedError(
            "an open model goes on from weights in Cloud Storage",
            where="tuning.managed.continue_from",
            found=managed.continue_from,
            expected="gs://…/checkpoints/final",
        )
    if managed.checkpoint:
        raise RejectedError(
            "checkpoint belongs to tuned Gemini models",
            where="tuning.managed.checkpoint",
            found=managed.checkpoint,
            mend="name the checkpoint's folder in continue_from",
        )
    if managed.last_checkpoint_only or managed.learning_rate_multiplier != 1.0:
        raise RejectedError(
            "last_checkpoint_only and learning_rate_multiplier belong to Gemini",
            where="tuning.managed",
            mend="remove them; open models take tuning.learning_rate",
        )
