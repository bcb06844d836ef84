"""Planted keys, e-mails and names, sent every way there is: none comes out in logs, metrics, errors or metadata.

The gateway is a process of its own, as `finetune serve` starts it, with a real model. What a person asks for, the
verbs that list texts show; there only what has a form is masked, and names stay.
"""

from __future__ import annotations

import json
import logging
import random
import string
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import httpx
import pytest

from finetune_assets.component import read_task_folder
from finetune_assets.definitions import build_resources
from finetune_assets.feedback.config import RedactionConfig
from finetune_assets.feedback.pseudonyms import Pseudonyms
from finetune_assets.feedback.redaction import Redactor
from finetune_assets.lineage import error_cases, trigger_history
from finetune_assets.lineage.trigger_sensor import build_trigger_sensors
from finetune_assets.resources.platform import Platform
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.process import start_gateway
from finetune_assets.storage.api_keys import KeyBook
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets_tests.e2e.command import finetune
from finetune_assets_tests.e2e.tasks import write_task
from finetune_assets_tests.serving.conftest import TASK, open_workshop, serving, wait_ready
from finetune_assets_tests.serving.doors.gateways import KeptSource, bearer
from finetune_assets_tests.serving.fakes import FakeEngine, ref

PREDICT, CHAT, FEEDBACK = f"/v1/tasks/{TASK}/predict", "/v1/chat/completions", "/v1/feedback"
TRIGGERS = {"enabled": True, "fire_when": "error_cases", "min_error_cases": 3, "min_eligible_cases": 0}
APPROVALS = f"/v1/tasks/{TASK}/approvals"
DECIDED = {"candidate": "c" * 12, "report": "d" * 12, "decision": "approve"}
TURNS = 3
_SIGNS = string.ascii_letters + string.digits


def planted(count: int, seed: int = 6) -> list[str]:
    """Return keys, e-mails and names by turns, each of its own."""
    draw = random.Random(seed)

    def word(length: int, signs: str = string.ascii_lowercase) -> str:
        return "".join(draw.choice(signs) for _ in range(length))

    forms = [
        lambda: f"fta_{word(12, '0123456789abcdef')}_{word(43, _SIGNS + '-_')}",
        lambda: f"{word(8)}.{word(5)}@{word(7)}.example",
        lambda: f"{word(7).title()} {word(9).title()}",
        lambda: f"hf_{word(34, _SIGNS)}",
        lambda: f"sk-{word(40, _SIGNS)}",
        lambda: f"{word(6)}+{word(4)}@{word(7)}.co.example",
        lambda: f"{word(6).title()} O'{word(6).title()}-{word(5).title()}",
        lambda: f"AKIA{word(16, string.ascii_uppercase + string.digits)}",
    ]
    return [forms[number % len(forms)]() for number in range(count)]


def send_all(client: httpx.Client, key: dict[str, str], turn: int, secret: str) -> list[str]:
    """Send one secret in the ways that matter most and in a third of the others, by turns.

    Returns:
        The texts of all refusals, headers included.
    """
    told = quote(secret, safe="")
    both = {**key, "X-Note": secret, "User-Agent": secret, "Referer": f"http://127.0.0.1/{told}"}
    cookie = {"Cookie": f"session={told}"}
    asked = client.post(PREDICT, json={"fields": {"text": f"a note of {secret}", "person": secret, secret: secret}})
    request_id = asked.json()["request_id"]
    said = {"task": TASK, "request_id": request_id, "verdict": "wrong"}
    raw = {"content-type": "application/json"}
    given = client.post(FEEDBACK, json={**said, "comment": f"says {secret}"}, headers=both)
    assert (asked.status_code, given.status_code) == (200, 200), given.text
    chat = {"model": TASK, "messages": [{"role": "user", "content": secret}]}
    always: list[Callable[[], httpx.Response]] = [
        lambda: client.post(PREDICT, params={"q": secret, secret: "1"}, json={"text": secret}, headers=cookie),
        lambda: client.post(PREDICT, json={"text": "x", secret: "unknown field"}),
        lambda: client.post(f"/v1/tasks/{told}/predict", json={"text": "x"}),
        lambda: client.get("/v1/models", headers={"Authorization": f"Bearer {secret}"}),
        lambda: client.post(FEEDBACK, json={**said, "correction": f"by {secret}"}, headers=both),
    ]
    by_turns: list[Callable[[], httpx.Response]] = [
        lambda: client.post(PREDICT, json={"text": [secret]}),
        lambda: client.post(PREDICT, json={"fields": {secret: secret}}),
        lambda: client.post(PREDICT, content=f'{{"text": "{secret}', headers=raw),
        lambda: client.post(PREDICT, content=secret.encode(), headers={"content-type": f"text/{told}"}),
        lambda: client.get(f"/v1/{told}", params={"key": secret}),
        lambda: client.request("DELETE", f"{PREDICT}?key={told}"),
        lambda: client.post(CHAT, json={**chat, "model": secret}),
        lambda: client.post(CHAT, json={**chat, "messages": [{"role": secret, "content": secret}]}),
        lambda: client.post(CHAT, json={**chat, "stream": True}),
        lambda: client.get("/v1/models", headers={"Authorization": f"Basic {secret}"}),
        lambda: client.get("/healthz", headers={"Origin": f"http://{told}.example"}),
        lambda: client.get("/healthz", headers={"Host": told}),
        lambda: client.get("/healthz", headers={"X-Request-Id": f"@{secret}"}),
        lambda: client.post(FEEDBACK, json={**said, "verdict": secret}, headers=key),
        lambda: client.post(FEEDBACK, json={**said, "request_id": f"@{secret}"}, headers=key),
        lambda: client.post(FEEDBACK, json={**said, "task": secret}, headers=key),
        lambda: client.post(FEEDBACK, json={**said, secret: "x"}, headers=key),
        lambda: client.post(FEEDBACK, json={**said, "comment": secret * 2000}, headers=key),
        lambda: client.post(APPROVALS, json={**DECIDED, "note": secret}, headers=key),
        lambda: client.post(APPROVALS, json={**DECIDED, "candidate": secret, secret: secret}, headers=key),
        lambda: client.get(f"/v1/tasks/{told}/candidates", headers=key),
    ]
    answers = [send() for send in [*always, *by_turns[turn % TURNS :: TURNS]]]
    assert not [one.status_code for one in answers if one.status_code >= 500]
    refused = [one for one in answers if one.status_code >= 400]
    assert len(refused) >= 6
    return [one.text + str(list(one.headers.items())) for one in refused]


def found_in(secrets: list[str], text: str) -> list[str]:
    """Return the secrets that stand in a text, also as a JSON or a web address writes them."""
    return [one for one in secrets if one in text or quote(one, safe="") in text or json.dumps(one)[1:-1] in text]


def look_everywhere(tmp_path: Path, base, adapters, task_type, monkeypatch, count: int) -> None:
    secrets = planted(count)
    assert len(set(secrets)) == count
    workshop = open_workshop(tmp_path, base, task_type)
    home = workshop.home
    live, _ = workshop.release(adapters[0])
    workshop.deploy(live)
    database = Database.open(home.database_url)
    key, _ = KeyBook(database).create("ana", ["feedback", "approve"])
    log = home.logs / "gateway.log"
    limits = {"predict_per_minute": 0, "feedback_per_minute": 0, "wrong_keys_per_minute": 0}
    with start_gateway(home, log=log, settings=GatewaySettings(poll_s=0.2, batch_wait_ms=2.0, **limits)) as gateway:
        gateway.wait_ready(timeout_s=90)
        with (
            httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client,
            ThreadPoolExecutor(8) as pool,
        ):
            leaks = []
            for secret, texts in zip(
                secrets, pool.map(lambda one: send_all(client, bearer(key), *one), enumerate(secrets)), strict=True
            ):
                leaks += [(secret, text) for text in texts if found_in([secret], text)]
            assert not leaks[:3]
            shown = {path: client.get(path).text for path in ("/metrics", "/readyz", "/healthz", "/openapi.json")}
    shown["the log"] = log.read_text(encoding="utf-8")
    assert "listening on" in shown["the log"]
    for place, text in shown.items():
        assert not found_in(secrets, text), place
    folder = tmp_path / "tasks"
    environ = write_task(folder, TASK, rows=20, triggers=TRIGGERS)
    look_at_dagster(folder / TASK, home, secrets, monkeypatch)
    look_at_commands(home, environ, secrets, count)
    database.close()


def look_at_dagster(folder: Path, home: Home, secrets: list[str], monkeypatch) -> None:
    """Materialize the assets of feedback, let the sensor explain itself, and read every byte of the instance."""
    spec = read_task_folder(folder)
    monkeypatch.setenv("FINETUNE_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    with dg.DagsterInstance.get() as instance:
        assets = [error_cases.build_asset(spec), trigger_history.build_asset(spec)]
        (sensor,) = build_trigger_sensors(spec)
        asked = sensor(dg.build_sensor_context(instance, cursor=None, resources={"platform": Platform()}))
        assert isinstance(asked, dg.SensorResult)
        assert asked.run_requests, asked.skip_reason
        assert not found_in(secrets, repr(asked))
        result = dg.materialize(assets, instance=instance, resources=build_resources())
        (made,) = result.asset_materializations_for_node(f"{TASK}__error_cases")
        counted = [value.value for name, value in made.metadata.items() if name.endswith("_cases")]
        assert sum(number for number in counted if isinstance(number, int)) >= min(len(secrets) // 2, 50)
        assert not found_in(secrets, repr(made.metadata))
        records = instance.all_logs(result.run_id)
        assert not found_in(secrets, "".join(record.to_json() for record in records))
    read = 0
    for path in home.dagster.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "replace")
            read += len(text)
            assert not found_in(secrets, text), path
    assert read > 10_000


def look_at_commands(home: Home, environ: dict[str, str], secrets: list[str], count: int) -> None:
    """Read what the command line says: no secret, but for the names within the texts that it is asked for."""
    for command in (("keys", "list"), ("keys", "list", "--json"), ("status", TASK), ("tasks",)):
        said = finetune(home.path, *command, env=environ)
        assert said.code == 0, said.all
        assert not found_in(secrets, said.all), command
    said = finetune(home.path, "feedback", "list", TASK, "--json", "--limit", str(2 * count), env=environ)
    cases = said.json()
    assert len(cases) >= count // 2
    with_form = [one for one in secrets if " " not in one]
    assert not found_in(with_form, said.all)


def test_two_hundred_planted_secrets_are_found_nowhere(tmp_path, base, adapters, task_type, monkeypatch):
    look_everywhere(tmp_path, base, adapters, task_type, monkeypatch, 200)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_five_thousand_planted_secrets_are_found_nowhere(tmp_path, base, adapters, task_type, monkeypatch):
    look_everywhere(tmp_path, base, adapters, task_type, monkeypatch, 5_000)


def test_every_planted_key_and_e_mail_is_masked_before_it_is_stored():
    redactor = Redactor(RedactionConfig(), Pseudonyms(b"k" * 32))
    for secret in planted(5_000):
        if " " not in secret:
            kept = redactor.text(f"says {secret}, and ({secret})")
            assert secret not in kept
            assert redactor.text(kept) == kept
    bare = Redactor(RedactionConfig(personal_data=False), Pseudonyms(b"k" * 32))
    assert bare.text(f"{planted(1)[0]} ann@a.example") == "[key] ann@a.example"
    assert bare.text("risk-averse people ask-and-answer sk-verylonghyphenatedword") == (
        "risk-averse people ask-and-answer sk-verylonghyphenatedword"
    )


def test_an_engine_that_breaks_down_over_a_text_does_not_write_it_into_the_log(tmp_path, task_type, caplog):
    secret = planted(2)[1]

    class Broken(FakeEngine):
        def complete(self, batch):
            raise KeyError(batch[0][-1]["content"])

    source = KeptSource(task_type, lambda _: Broken())
    source.wanted = {TASK: ref(1)}
    good = FakeEngine()
    source.make = lambda _: good
    with caplog.at_level(logging.DEBUG), serving(source, home=Home(tmp_path / "home").ensure()) as client:
        wait_ready(client)
        good.complete = Broken().complete  # type: ignore[method-assign]
        answer = client.post(PREDICT, json={"text": secret})
    assert answer.status_code == 500
    assert secret not in answer.text
    assert "the engine broke down over 1 questions: KeyError" in caplog.text
    assert "in complete" in caplog.text, "where it broke down is told"
    assert secret not in caplog.text
