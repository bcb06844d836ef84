"""What /openapi.json allows and what it forbids, asked over real HTTP: no 5xx, and answers as the document says.

Schemathesis makes the requests: data that fit the document, and data that do not. A small seeded number of each here,
many more in the soak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.specs.openapi import checks

from finetune_assets.storage.home import Home
from finetune_assets_tests.serving.conftest import TASK, serving, wait_ready
from finetune_assets_tests.serving.doors.gateways import ANSWER, KeptSource, bearer, made_keys
from finetune_assets_tests.serving.fakes import FakeEngine, ref

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
CALLERS = ("nobody", "all", "feedback", "revoked")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, task_type) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    home = Home(tmp_path_factory.mktemp("asked") / "home").ensure()
    keys = made_keys(home)
    source = KeptSource(task_type, lambda _: FakeEngine(ANSWER))
    source.wanted = {TASK: ref(1)}
    with serving(source, home=home, wrong_keys_per_minute=0, feedback_per_minute=0, batch_wait_ms=0.0) as client:
        wait_ready(client)
        yield client, keys


def operations(client: httpx.Client) -> list[APIOperation]:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    schema.config.generation.update(allow_extra_parameters=False)
    return [found.ok() for found in schema.get_all_operations()]


def near(case: Case) -> Case:
    """Aim a request at what there is, so that it comes further than to "unknown task"."""
    if isinstance(case.body, dict):
        for name in ("model", "task"):
            if isinstance(case.body.get(name), str):
                case.body[name] = TASK
    return case


def ask_all(gateway: tuple[httpx.Client, dict[str, str]], examples: int, derandomize: bool) -> Counter[str]:
    client, keys = gateway
    found: Counter[str] = Counter()
    for operation in operations(client):
        # Nothing that is sent can be wrong where nothing is sent.
        for mode in MODES if operation.definition.raw.get("requestBody") else MODES[:1]:
            fixed = {"task": TASK} if "{task}" in operation.path else None
            aimed = operation.as_strategy(generation_mode=mode, path_parameters=fixed)
            strategy = st.one_of(aimed.map(near), operation.as_strategy(generation_mode=mode))

            @seed(6)
            @settings(
                max_examples=examples,
                derandomize=derandomize,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy, caller=st.sampled_from(CALLERS), mode=st.just(mode))
            def ask(case: Case, caller: str, mode: GenerationMode) -> None:
                headers = bearer(keys[caller]) if caller in keys else {}
                answer = case.call(base_url=str(client.base_url), headers=headers)
                found[f"{mode.value} {answer.status_code}"] += 1
                case.validate_response(answer, checks=CHECKS, headers=headers)
                refused = 400 <= answer.status_code < 500
                # `near` may have mended what was wrong on purpose, but only by a string for a string.
                assert refused or mode is GenerationMode.POSITIVE or not _is_negated(case), answer.status_code

            ask()
    return found


def _is_negated(case: Case) -> bool:
    """Return whether a request breaks the document in its body, which nothing on the way can mend."""
    components = case.meta.components if case.meta is not None else {}
    return any(
        str(getattr(where, "value", where)) == "body" and info.mode is GenerationMode.NEGATIVE
        for where, info in components.items()
    )


def test_the_document_is_kept_by_a_few_hundred_requests(gateway):
    found = ask_all(gateway, 25, derandomize=True)
    assert found["positive 200"] > 20, found
    assert found["positive 401"] > 20
    assert found["positive 403"] > 5
    assert found["negative 422"] + found["negative 400"] > 10


@pytest.mark.soak
def test_the_document_is_kept_by_very_many_requests(gateway):
    found = ask_all(gateway, 500, derandomize=False)
    print(dict(sorted(found.items())))
    assert not [status for status in found if status.split()[1].startswith("5")]
