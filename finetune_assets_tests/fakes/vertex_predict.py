"""Answers of endpoints and publisher models: generateContent, countTokens, predict, rawPredict, chat completions."""

from __future__ import annotations

import random
from typing import Any

from finetune_assets_tests.fakes.vertex_answers import guess, lessons_of, prompt_of, reply
from finetune_assets_tests.fakes.vertex_app import App, Call, Raw, route
from finetune_assets_tests.fakes.vertex_dataset import count_tokens
from finetune_assets_tests.fakes.vertex_models import find_version
from finetune_assets_tests.fakes.vertex_store import Resource
from finetune_assets_tests.fakes.vertex_wire import ApiError, Json, dumps, invalid, not_found, precondition

# Publisher models that answer without being deployed.
SERVED = ("gemini-",)
PREDICT_BYTES = 1_500_000


def _choose(app: App, it: Resource) -> Json:
    """Return the deployed model that gets this request, by the traffic split and the seeded dice."""
    split = {key: share for key, share in it.body["trafficSplit"].items() if int(share)}
    if not it.body["deployedModels"] or not split:
        raise precondition(f"Endpoint {it.name} doesn't have traffic_split or has no deployed model.")
    drawn = app.cache[("draws", it.name)] = app.cache.get(("draws", it.name), -1) + 1
    dice = random.Random(f"{app.store.settings['seed']}:{it.name}:{drawn}")
    wanted = dice.choices(sorted(split), [split[key] for key in sorted(split)])[0]
    found: Json = next(one for one in it.body["deployedModels"] if one["id"] == wanted)
    return found


def owners_of(app: App, deployed: Json) -> list[str]:
    """Return whose lessons a deployed model answers from."""
    model, number = find_version(app, f"{deployed['model']}@{deployed['modelVersionId']}")
    return lessons_of(app, model, number)


def content_answer(body: Json, text: str, version: str) -> Json:
    """Return a generateContent answer."""
    given = sum(count_tokens(prompt_of({"contents": [turn]})) for turn in body.get("contents", []))
    system = body.get("systemInstruction", body.get("system_instruction"))
    given += count_tokens(prompt_of({"contents": [system]})) if system else 0
    made = count_tokens(text)
    usage = {"promptTokenCount": given, "candidatesTokenCount": made, "totalTokenCount": given + made}
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": version}


def check_contents(body: Json) -> None:
    """Refuse a request without contents.

    Raises:
        ApiError: 400.
    """
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise invalid("Unable to submit request because at least one contents field is required.")
    for turn in contents:
        if turn.get("role", "user") not in {"user", "model", "function", "tool"}:
            raise invalid("Please use a valid role: user, model.")
        if not turn.get("parts"):
            raise invalid("Unable to submit request because it must have a text parameter.")


def generate(app: App, name: str, body: Json) -> Json:
    """Return what a publisher model or a tuned endpoint answers.

    Raises:
        ApiError: 400, 404.
    """
    check_contents(body)
    prompt = prompt_of(body)
    if "/publishers/" in name or name.startswith("publishers/"):
        model = name.rsplit("/", 1)[-1]
        if not model.startswith(SERVED):
            raise not_found("Publisher Model", name)
        return content_answer(body, guess(prompt), model)
    it = app.find(name, "Endpoint")
    if not it.private.get("shared"):
        raise invalid(f"generateContent is not supported at the endpoint {name}; use predict or rawPredict.")
    deployed = _choose(app, it)
    return content_answer(
        body, reply(app, owners_of(app, deployed), prompt), f"{deployed['model']}@{deployed['modelVersionId']}"
    )


TARGET = r"(?P<rest>(?:publishers/[^/:]+/models|endpoints)/[^/:]+)"


@route("POST", TARGET + r":generateContent")
def _generate(app: App, call: Call) -> Json:
    return generate(app, call.name, call.body)


@route("POST", TARGET + r":streamGenerateContent")
def _stream(app: App, call: Call) -> Raw:
    answer = dumps(generate(app, call.name, call.body))
    if call.query.get("alt") == "sse":
        return Raw(f"data: {answer}\r\n\r\n".encode(), "text/event-stream")
    return Raw(f"[{answer}]".encode(), "application/json")


@route("POST", TARGET + r":countTokens")
def _count(app: App, call: Call) -> Json:
    body = call.body
    check_contents(body)
    usage = content_answer(body, "", "")["usageMetadata"]
    return {"totalTokens": usage["promptTokenCount"]}


def instance_answer(image: str, instance: Any, text: str) -> Any:
    """Return one prediction as the serving container of an image writes it."""
    if isinstance(instance, dict) and instance.get("@requestFormat") == "chatCompletions":
        return chat_answer(text)
    if "vllm" in image and isinstance(instance, dict) and "prompt" in instance and not instance.get("raw_response"):
        # Google's vLLM container echoes the prompt unless raw_response is set.
        return f"Prompt:\n{instance['prompt']}\nOutput:\n{text}"
    return text


def chat_answer(text: str) -> Json:
    """Return an OpenAI-style chat completion."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 0, "completion_tokens": count_tokens(text), "total_tokens": count_tokens(text)}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "chatcmpl-standin", "object": "chat.completion", "choices": choices, "usage": usage}


def image_of(app: App, deployed: Json) -> str:
    """Return the serving image of a deployed model."""
    model, number = find_version(app, f"{deployed['model']}@{deployed['modelVersionId']}")
    image: str = model.private["versions"][number].get("containerSpec", {}).get("imageUri", "")
    return image


@route("POST", r"(?P<rest>endpoints/[^/:]+):predict")
def _predict(app: App, call: Call) -> Json:
    it = app.find(call.name, "Endpoint")
    if len(call.raw) > PREDICT_BYTES:
        raise invalid(f"The request size ({len(call.raw)} bytes) exceeds 1.500MB limit.")
    if it.private.get("shared"):
        raise invalid("Gemini cannot be accessed through Vertex Predict/RawPredict API. Please use generateContent.")
    instances = call.body.get("instances")
    if not isinstance(instances, list) or not instances:
        raise invalid("instances must be a non-empty list.")
    deployed = _choose(app, it)
    owners, image = owners_of(app, deployed), image_of(app, deployed)
    answers = [instance_answer(image, one, reply(app, owners, prompt_of(one))) for one in instances]
    return _named(deployed, {"predictions": answers})


def _named(deployed: Json, body: Json) -> Json:
    names = {
        "deployedModelId": deployed["id"],
        "model": deployed["model"],
        "modelVersionId": deployed["modelVersionId"],
    }
    return {**body, **names, "modelDisplayName": deployed.get("displayName", "")}


@route("POST", r"(?P<rest>endpoints/[^/:]+):rawPredict")
def _raw(app: App, call: Call) -> Raw:
    it = app.find(call.name, "Endpoint")
    deployed = _choose(app, it)
    owners, body = owners_of(app, deployed), call.body
    if "instances" in body:
        image = image_of(app, deployed)
        answers = [instance_answer(image, one, reply(app, owners, prompt_of(one))) for one in body["instances"]]
        return Raw(dumps({"predictions": answers}).encode(), "application/json")
    text = reply(app, owners, prompt_of(body))
    return Raw(dumps(chat_answer(text) if "messages" in body else {"text": text}).encode(), "application/json")


@route("POST", r"(?P<rest>endpoints/[^/:]+)/chat/completions")
def _chat(app: App, call: Call) -> Json:
    it = app.find(call.name, "Endpoint")
    return chat_answer(reply(app, owners_of(app, _choose(app, it)), prompt_of(call.body)))


@route("GET", r"/(?P<version>v1beta1|v1)/publishers/(?P<publisher>[^/]+)/models/(?P<model>[^/:]+)")
def _publisher_model(app: App, call: Call) -> Json:
    from finetune_assets_tests.fakes.vertex_catalogue import MODELS

    publisher, model = call.params["publisher"], call.params["model"]
    version = model.partition("@")[2]
    known = model.startswith(SERVED) if publisher == "google" else False
    known = known or any(name.startswith(f"{publisher}/{model}") for name in MODELS)
    if not known:
        raise ApiError(404, f"Publisher Model `publishers/{publisher}/models/{model}` is not found.")
    return {"name": f"publishers/{publisher}/models/{model}", "versionId": version or "default", "launchStage": "GA"}
