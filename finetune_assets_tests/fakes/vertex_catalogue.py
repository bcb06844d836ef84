"""Which models the stand-in's service tunes, how, and where. Source: reference of 2026-09-25."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from finetune_assets_tests.fakes.vertex_store import Store
from finetune_assets_tests.fakes.vertex_wire import ApiError, Json, invalid, precondition

ADAPTERS = {"ONE": 1, "TWO": 2, "FOUR": 4, "EIGHT": 8, "SIXTEEN": 16, "THIRTY_TWO": 32}
GEMINI_REGIONS_3 = {"us-central1", "europe-west4"}
OPEN_REGIONS = {
    "global",
    "us-central1",
    "europe-west4",
    "us-west1",
    "us-east5",
    "asia-southeast1",
    "asia-southeast2",
}
# The region that a job on `global` runs in; sub-resources carry it.
REGION_OF_GLOBAL = "us-central1"


@dataclass(frozen=True)
class Tunable:
    """One model that can be tuned."""

    name: str
    family: str
    modes: frozenset[str] = frozenset({"PEFT"})
    max_tokens: int = 8_192
    methods: frozenset[str] = frozenset({"supervised"})
    adapters: frozenset[int] = field(default=frozenset({1, 2, 4, 8, 16}))


def _open(name: str, modes: str, max_tokens: int = 8_192, distil: bool = False) -> Tunable:
    methods = frozenset({"supervised", *(["distillation"] if distil else [])})
    return Tunable(name, "open", frozenset(modes.split("+")), max_tokens, methods, frozenset({1, 2, 4, 8, 16, 32}))


def _gemini(name: str, preference: bool = False, adapters: tuple[int, ...] = (1, 2, 4, 8, 16)) -> Tunable:
    methods = frozenset({"supervised", *(["preference"] if preference else [])})
    return Tunable(name, "gemini", frozenset({"PEFT"}), 131_072, methods, frozenset(adapters))


MODELS = {
    it.name: it
    for it in (
        _gemini("gemini-3.5-flash"),
        _gemini("gemini-3.1-flash-lite"),
        _gemini("gemini-2.5-pro", adapters=(1, 2, 4, 8)),
        _gemini("gemini-2.5-flash", preference=True),
        _gemini("gemini-2.5-flash-lite", preference=True),
        _open("google/gemma4@gemma-4-e2b-it", "PEFT"),
        _open("google/gemma4@gemma-4-e4b-it", "PEFT"),
        _open("google/gemma4@gemma-4-26b-a4b-it", "PEFT"),
        _open("google/gemma4@gemma-4-31b-it", "PEFT"),
        _open("google/gemma3@gemma-3-1b-it", "FULL", distil=True),
        _open("google/gemma3@gemma-3-4b-it", "FULL", distil=True),
        _open("google/gemma3@gemma-3-12b-it", "FULL", distil=True),
        _open("google/gemma3@gemma-3-27b-it", "PEFT+FULL", distil=True),
        _open("qwen/qwen3@qwen3-4b", "FULL", distil=True),
        _open("qwen/qwen3@qwen3-8b", "FULL", distil=True),
        _open("qwen/qwen3@qwen3-14b", "FULL", distil=True),
        _open("qwen/qwen3@qwen3-32b", "PEFT+FULL", distil=True),
        _open("meta/llama3_1@llama-3.1-8b", "PEFT+FULL"),
        _open("meta/llama3_1@llama-3.1-8b-instruct", "PEFT+FULL"),
        _open("meta/llama3_2@llama-3.2-1b-instruct", "FULL"),
        _open("meta/llama3_2@llama-3.2-3b-instruct", "FULL"),
        _open("meta/llama3-3@llama-3.3-70b-instruct", "PEFT+FULL"),
        _open("meta/llama4@llama-4-scout-17b-16e-instruct", "PEFT", 2_048),
    )
}


def short_name(model: str) -> str:
    """Return `publisher/family@version` or the Gemini name of any accepted long form."""
    model = re.sub(r"^projects/[^/]+/locations/[^/]+/", "", model)
    hit = re.fullmatch(r"publishers/([^/]+)/models/(.+)", model)
    if hit is None:
        return model
    return hit.group(2) if hit.group(1) == "google" and hit.group(2).startswith("gemini") else "/".join(hit.groups())


def known_model(store: Store, model: str) -> Tunable:
    """Return what is known about a base model.

    Raises:
        ApiError: 403 for a denied model, 400 for one that cannot be tuned.
    """
    name = short_name(model)
    if name in store.settings["denied_models"]:
        raise ApiError(403, f"Permission denied: the project is not yet eligible to tune the base model {model}.")
    found = MODELS.get(name) or MODELS.get(name.replace("llama3_3@", "llama3-3@"))
    if found is None:
        # Source 002 met this with qwen3-30b-a3b-instruct-2507.
        raise invalid(f"Base model {model} is not supported for tuning. It is not yet eligible for managed tuning.")
    return found


def check_place(model: Tunable, location: str) -> None:
    """Refuse a location that does not tune this model.

    Raises:
        ApiError: FAILED_PRECONDITION for Gemini on `global`, 400 for a region that lacks the model.
    """
    if model.family == "gemini":
        if location == "global":
            raise precondition(
                "Tuning of Gemini models is not supported in the global location. Use a regional endpoint."
            )
        if model.name.startswith("gemini-3") and location not in GEMINI_REGIONS_3:
            raise invalid(f"Model {model.name} can't be tuned in {location}. Supported: {sorted(GEMINI_REGIONS_3)}.")
    elif location not in OPEN_REGIONS:
        raise invalid(f"Model {model.name} can't be tuned in {location}. Supported: {sorted(OPEN_REGIONS)}.")


def check_spec(model: Tunable, method: str, spec: Json, body: Json) -> None:
    """Refuse a method, mode, adapter size or missing field that the service refuses at create.

    Raises:
        ApiError: 400.
    """
    if method not in model.methods:
        raise invalid(f"Tuning method {method} is not supported for base model {model.name}.")
    hyper = spec.get("hyperParameters", {})
    size = str(hyper.get("adapterSize", "")).removeprefix("ADAPTER_SIZE_")
    mode = str(spec.get("tuningMode", "")).removeprefix("TUNING_MODE_").removesuffix("_ADAPTER")
    mode = {"": "PEFT", "UNSPECIFIED": "PEFT"}.get(mode, mode)
    if mode not in model.modes:
        raise invalid(f"Tuning mode {mode} is not supported for {model.name}. Supported: {sorted(model.modes)}.")
    if mode == "PEFT" and size and ADAPTERS.get(size) not in model.adapters:
        raise invalid(f"Adapter size {size} is not supported for {model.name}. Supported: {sorted(model.adapters)}.")
    if model.family == "open":
        if not body.get("outputUri"):
            raise invalid("output_uri is required for tuning open models.")
        if "learningRateMultiplier" in hyper:
            raise invalid("learning_rate_multiplier is not supported for open models. Use learning_rate.")
    elif "learningRate" in hyper or "batchSize" in hyper or body.get("outputUri"):
        raise invalid(f"learning_rate, batch_size and output_uri are not supported for {model.name}.")


def check_encryption(model: Tunable, location: str, body: Json) -> None:
    """Refuse a customer's key where it is not supported.

    Raises:
        ApiError: 400.
    """
    if body.get("encryptionSpec") and (location == "global" or model.name.startswith("gemini-3")):
        raise precondition("Customer-managed encryption keys are not supported for this model or location.")
