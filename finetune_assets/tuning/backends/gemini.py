"""Managed tuning of Gemini models: what the service is asked for."""

from __future__ import annotations

from finetune_assets.tuning.backends.managed_jobs import ManagedTuning, TuneCall, common_config, rank_of
from finetune_assets.tuning.backends.protocol import JobRequest
from finetune_assets.tuning.cloud.errors import RejectedError


class GeminiBackend(ManagedTuning):
    """Adapters for Gemini: by examples or by preferences, from the base model or from a tuned one.

    The tuned model is registered and served by the service; there are no weights to download.
    """

    name = "gemini"
    agent = "gcp-sa-vertex-tune"

    def call_of(self, request: JobRequest) -> TuneCall:
        """Return what the service is asked for.

        Raises:
            RejectedError: for settings that Gemini does not have.
        """
        from google.genai import types

        config = request.request.config
        managed = config.managed_settings
        _refuse_foreign(request)
        fields = common_config(request, adapter_size=rank_of(request))
        fields |= {
            "learning_rate_multiplier": managed.learning_rate_multiplier,
            "export_last_checkpoint_only": managed.last_checkpoint_only,
        }
        if managed.method == "dpo":
            fields["beta"] = managed.beta
        if managed.method == "distillation":
            fields["base_teacher_model"] = managed.teacher
        if managed.checkpoint:
            fields["pre_tuned_model_checkpoint_id"] = managed.checkpoint
        # The object, never a dict: with a dict the client drops the checkpoint without a word.
        return TuneCall(managed.continue_from or config.base_model, types.CreateTuningJobConfig(**fields))


def _refuse_foreign(request: JobRequest) -> None:
    config, managed = request.request.config, request.request.config.managed_settings
    if managed.mode == "full":
        raise RejectedError(
            "Gemini is tuned by an adapter only",
            where="tuning.managed.mode",
            found="full",
            expected="peft",
            mend="set mode: peft, or take an open model that can be tuned whole",
        )
    if config.learning_rate is not None:
        raise RejectedError(
            "Gemini takes a multiplier of its own learning rate",
            where="tuning.learning_rate",
            found=str(config.learning_rate),
            expected="null",
            mend="set learning_rate: null and tuning.managed.learning_rate_multiplier",
        )
    if managed.continue_from and not managed.continue_from.startswith("projects/"):
        raise RejectedError(
            "Gemini goes on from a tuned model only",
            where="tuning.managed.continue_from",
            found=managed.continue_from,
            expected="projects/…/locations/…/models/ID@VERSION",
        )
