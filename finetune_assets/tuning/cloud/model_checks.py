"""Holding a task's settings against the catalogue, before anything is submitted or paid for.

`check_mode` finds what a model does not offer; `resolved` fills what is unset, so that a job's identity is explicit.
"""

from __future__ import annotations

from collections.abc import Iterator

from finetune_assets.tuning.cloud.catalogue import ModelEntry, catalogue, find_model, lookup, names_of, normalised
from finetune_assets.tuning.cloud.config import CloudConfig
from finetune_assets.tuning.cloud.errors import ModelDeniedError
from finetune_assets.tuning.config import TuningConfig
from finetune_assets.tuning.findings import Finding
from finetune_assets.tuning.managed_config import MANAGED

_TRAINING_HEADROOM = 1.4
_BYTES_PER_WEIGHT = 2


def check_mode(config: TuningConfig, cloud: CloudConfig) -> list[Finding]:
    """Return what the service would refuse: model, backend, method, mode, adapter, location or key.

    A task without a managed backend has nothing to check but the memory of its machines.

    Args:
        config: one variant's settings.
        cloud: where the job is to run.
    """
    if config.backend == "custom_job":
        return list(_too_little_memory(config))
    if config.backend not in MANAGED:
        return []
    try:
        entry = find_model(config.base_model)
    except ModelDeniedError as problem:
        return [
            Finding(
                "model", "error", problem.where, problem.found, problem.expected, problem.mend, as_of=_catalogue_date()
            )
        ]
    rules = (_backend, _method, _mode, _adapter, _teacher, _location, _serving, _key, _learning_rate, _epochs)
    return [finding for rule in rules for finding in rule(entry, config, cloud)]


def require_mode(config: TuningConfig, cloud: CloudConfig) -> ModelEntry:
    """Return the model's entry when the settings are all on offer.

    Raises:
        ModelDeniedError: for the first thing that is not.
    """
    for finding in check_mode(config, cloud):
        if finding.severity == "error":
            raise ModelDeniedError(
                f"{finding.rule} is not on offer",
                where=finding.where,
                found=finding.found,
                expected=finding.limit,
                mend=finding.mend,
            )
    return find_model(config.base_model)


def resolved(config: TuningConfig) -> TuningConfig:
    """Return the settings with the catalogue's advice where they are unset, and the model by its one name.

    Filled: `base_model` (an alias becomes the id), `managed.adapter_size` (mode peft) and, for open models,
    `learning_rate`. Variants are left as they are; ask for each of `by_variant()`. Other backends come back unchanged.

    Raises:
        ModelDeniedError: for a model that is not in the catalogue, or a mode that it lacks.
    """
    if config.backend not in MANAGED:
        return config
    entry = find_model(config.base_model)
    settings = config.managed_settings
    mode = entry.modes.get(settings.mode)
    if mode is None:
        raise ModelDeniedError(
            f"{entry.title} is not tuned in mode {settings.mode}",
            where="tuning.managed.mode",
            found=settings.mode,
            expected=" or ".join(entry.modes),
            mend=f"set mode: {next(iter(entry.modes))}",
        )
    fallback = catalogue().fallbacks[settings.mode]
    size = settings.adapter_size
    if size is None and mode.adapter_sizes:
        size = mode.adapter_size or fallback.adapter_size
    rate = config.learning_rate
    if rate is None and entry.backend == "open_model":
        rate = mode.learning_rate or fallback.learning_rate
    managed = settings.model_copy(update={"adapter_size": size})
    return config.model_copy(update={"base_model": entry.id, "managed": managed, "learning_rate": rate})


def alternatives(*, mode: str = "", method: str = "", family: str = "", backend: str = "") -> list[ModelEntry]:
    """Return the models that offer what is named, those of the family first.

    Args:
        mode: `peft` or `full`, "" for any.
        method: `sft`, `dpo` or `distillation`, "" for any.
        family: the family that is meant; its models alone when there are any.
        backend: the backend, "" for any.
    """
    fitting = [
        entry
        for entry in catalogue().models
        if (not mode or mode in entry.modes)
        and (not method or method in entry.methods)
        and (not backend or entry.backend == backend)
    ]
    return [entry for entry in fitting if entry.family == family] or fitting


def _backend(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del cloud
    if entry.backend != config.backend:
        yield _denied(
            entry, "backend", "tuning.backend", config.backend, entry.backend, f"set backend: {entry.backend}"
        )


def _method(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del cloud
    method = config.managed_settings.method
    if method not in entry.methods:
        others = names_of(alternatives(method=method, family=entry.family))
        mend = f"set method: {entry.methods[0]}, or take one of: {others}"
        yield _denied(entry, "method", "tuning.managed.method", method, " or ".join(entry.methods), mend)


def _mode(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del cloud
    mode = config.managed_settings.mode
    if mode not in entry.modes:
        others = names_of(alternatives(mode=mode, family=entry.family, backend=config.backend))
        mend = f"set mode: {next(iter(entry.modes))}" + ("" if others == "none" else f", or take one of: {others}")
        yield _denied(entry, "mode", "tuning.managed.mode", mode, " or ".join(entry.modes), mend)


def _adapter(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del cloud
    settings = config.managed_settings
    mode = entry.modes.get(settings.mode)
    if mode is None or settings.adapter_size is None or settings.adapter_size in mode.adapter_sizes:
        return
    sizes = ", ".join(map(str, mode.adapter_sizes))
    limit, mend = (sizes, f"take one of {sizes}") if sizes else ("none in mode full", "remove adapter_size")
    yield _denied(entry, "adapter_size", "tuning.managed.adapter_size", str(settings.adapter_size), limit, mend)


def _teacher(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del cloud
    settings, teachers = config.managed_settings, catalogue().teachers
    if settings.method == "distillation" and normalised(settings.teacher) not in teachers:
        known = ", ".join(teachers)
        yield _denied(entry, "teacher", "tuning.managed.teacher", settings.teacher, known, f"take one of {known}")


def _location(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del config
    places = entry.tuning_locations
    if places is not None and cloud.location not in places:
        yield _denied(
            entry, "location", "cloud.location", cloud.location, ", ".join(places), f"set location: {places[0]}"
        )
    elif places is None and cloud.location in ("global", "us", "eu"):
        yield _denied(
            entry,
            "location",
            "cloud.location",
            cloud.location,
            "a region",
            "set location: us-central1 or another region",
        )


def _serving(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del config
    places = entry.serving_locations
    if places is not None and cloud.serving_location and cloud.serving_location not in places:
        told = ", ".join(places)
        yield _denied(
            entry, "serving_location", "cloud.serving_location", cloud.serving_location, told, f"take one of {told}"
        )
    if entry.backend == "open_model" and cloud.serves_in == "global":
        mend = "set cloud.serving_location to the region that is to serve, before it is deployed"
        yield Finding(
            "serving_location", "warning", "cloud.serving_location", "global", "a region", mend, as_of=str(entry.as_of)
        )


def _key(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del config
    if not cloud.kms_key:
        return
    if not entry.cmek:
        able = [other for other in catalogue().models if other.cmek and other.backend == entry.backend]
        mend = f"remove kms_key, or take one of: {names_of(able)}"
        yield _denied(entry, "kms_key", "cloud.kms_key", "a key of your own", "none for this model", mend)
    elif cloud.location == "global":
        yield _denied(
            entry,
            "kms_key",
            "cloud.kms_key",
            "a key with location global",
            "a region",
            "set location to the key's region",
        )


def _learning_rate(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del cloud
    if entry.backend == "gemini" and config.learning_rate is not None:
        mend = "set learning_rate: null and tuning.managed.learning_rate_multiplier"
        yield _denied(entry, "learning_rate", "tuning.learning_rate", str(config.learning_rate), "null", mend)


def _epochs(entry: ModelEntry, config: TuningConfig, cloud: CloudConfig) -> Iterator[Finding]:
    del cloud
    if config.epochs != int(config.epochs):
        mend = f"set epochs: {max(1, round(config.epochs))}"
        yield _denied(entry, "epochs", "tuning.epochs", str(config.epochs), "a whole number", mend)


def _too_little_memory(config: TuningConfig) -> Iterator[Finding]:
    """Warn of machines that cannot hold a known model's weights; the trainer may still shard or offload them."""
    entry, job = lookup(config.base_model), config.job_settings
    if entry is None or entry.parameters_b is None or config.quantisation != "none":
        return
    each = catalogue().accelerator_memory_gb.get(job.accelerator_type)
    if each is None:
        return
    have, need = each * job.accelerator_count, entry.parameters_b * _BYTES_PER_WEIGHT * _TRAINING_HEADROOM
    if have < need and entry.training is not None:
        least = entry.training
        yield Finding(
            "memory",
            "warning",
            "tuning.custom_job.machine_type",
            f"{have} GB of accelerator memory",
            f"about {need:.0f} GB for {entry.title} in bfloat16",
            f"take {least.machine_type} with {least.accelerator_count} {least.accelerator_type}, or quantisation: nf4",
            as_of=str(entry.as_of),
        )


def _denied(entry: ModelEntry, rule: str, where: str, found: str, limit: str, mend: str) -> Finding:
    return Finding(rule, "error", where, f"{found} for {entry.title}", limit, mend, as_of=str(entry.as_of))


def _catalogue_date() -> str:
    return str(catalogue().as_of)
