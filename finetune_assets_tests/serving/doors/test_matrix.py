"""Every role at every verb of every route: the table below is the whole truth, and a route that is not in it fails."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute

from finetune_assets.serving.doors import everybody, needs
from finetune_assets.serving.doors.roles import GuardedRoute
from finetune_assets.storage.api_keys import ROLES
from finetune_assets.storage.home import Home
from finetune_assets_tests.serving.conftest import TASK
from finetune_assets_tests.serving.doors.gateways import FOREIGN, HERE, asked, bearer, made_keys, stub_app

ANYBODY, ANY_KEY = "anybody", "any key"
# What each route needs, and whether a caller on loopback may come in without a key.
TABLE = {
    ("POST", "/v1/tasks/{task}/predict"): ("predict", True),
    ("POST", "/v1/chat/completions"): ("predict", True),
    ("GET", "/v1/models"): ("predict", True),
    ("POST", "/v1/feedback"): ("feedback", False),
    ("GET", "/v1/tasks/{task}/candidates"): ("approve", False),
    ("POST", "/v1/tasks/{task}/approvals"): ("approve", False),
    ("GET", "/metrics"): ("admin", True),
    ("GET", "/healthz"): (ANYBODY, True),
    ("GET", "/readyz"): (ANYBODY, True),
    ("GET", "/openapi.json"): (ANY_KEY, True),
}
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
NOT_VALID = ("wrong", "unknown", "revoked", "expired", "rotated")
VALID = {**{role: {role} for role in ROLES}, "all": set(ROLES), "successor": set(ROLES)}


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    return {(verb, route.path) for route in app.routes for verb in route.methods if verb != "HEAD"}  # type: ignore[attr-defined]


def expected(need: str, from_here: bool, sent: str, verb_is_known: bool, loopback_may: bool) -> int:
    """Return the status that the doors must give; 0 for "let in"."""
    if sent in NOT_VALID or sent == "no bearer":
        return 401
    if not sent and not from_here and need != ANYBODY:
        return 401
    if not verb_is_known:
        return 405
    if need in (ANYBODY, ANY_KEY):
        return 0
    if sent:
        return 0 if need in VALID[sent] else 403
    return 0 if loopback_may else 401


def callers(keys: dict[str, str]) -> list[tuple[str, bool, tuple[str, int] | None, dict[str, str]]]:
    """Return (what is sent, from here?, client's address, headers) of everybody who may ask."""
    places = [
        (True, HERE, {}),
        (True, ("::1", 1), {"Host": "localhost:8700"}),
        (True, ("::ffff:127.0.0.1", 1), {}),
        (False, FOREIGN, {}),
        (False, ("2001:db8::7", 1), {}),
        (False, None, {}),
        (False, HERE, {"X-Forwarded-For": "127.0.0.1"}),
        (False, HERE, {"Forwarded": "for=127.0.0.1"}),
        (False, HERE, {"X-Real-IP": "127.0.0.1"}),
        (False, HERE, {"Via": "1.1 proxy"}),
        (False, HERE, {"Host": "models.example"}),
    ]
    found = [("", from_here, client, headers) for from_here, client, headers in places]
    for client, from_here in ((HERE, True), (FOREIGN, False)):
        found += [(name, from_here, client, bearer(key)) for name, key in keys.items()]
        found += [
            ("no bearer", from_here, client, {"Authorization": text})
            for text in ("", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", keys["all"], f"bearer  x {keys['all']}")
        ]
    return found


def test_every_route_is_in_the_table(tmp_path, task_type) -> None:
    found = routes_of(stub_app(task_type, Home(tmp_path / "home").ensure()))
    assert found == set(TABLE), "add what is missing to the table, with the role that it needs"
    assert routes_of(stub_app(task_type, None)) < found, "a rehearsal has no more"


@pytest.mark.parametrize("route", sorted({path for _, path in TABLE}))
def test_roles_and_verbs(tmp_path, task_type, route) -> None:
    home = Home(tmp_path / "home").ensure()
    keys = made_keys(home)
    app = stub_app(task_type, home, allowed_hosts=("models.example",))
    wrong, seen = [], Counter()

    async def ask_all() -> None:
        async with asked(app) as ask:
            for verb in VERBS:
                need, loopback_may = TABLE.get((verb, route), next(TABLE[key] for key in TABLE if key[1] == route))
                known = (verb, route) in TABLE or (verb == "HEAD" and route == "/openapi.json")
                for sent, from_here, client, headers in callers(keys):
                    path = route.replace("{task}", TASK)
                    answer = await ask(verb, path, client=client, headers=headers, content=b"{")
                    want = expected(need, from_here, sent, known, loopback_may)
                    got = answer.status_code if answer.status_code in (401, 403, 405) else 0
                    seen[want] += 1
                    if (
                        got != want
                        or answer.status_code >= 500
                        or ("www-authenticate" in answer.headers) != (want in (401, 403))
                    ):
                        wrong.append((verb, route, sent, client, headers, answer.status_code, want))

    asyncio.run(ask_all())
    assert not wrong[:5]
    assert seen[401] > 100
    assert seen[0]


def test_approve_and_admin_never_come_from_loopback_alone_and_no_role_implies_another(task_type) -> None:
    for (_, path), (need, loopback_may) in TABLE.items():
        assert not (loopback_may and need in ("feedback", "approve")), path
    app = FastAPI()
    app.router.route_class = GuardedRoute
    assert needs("approve") is needs("approve"), "one dependency for each need, so that FastAPI asks it once"
    with pytest.raises(ValueError, match="declares 0 needs"):
        app.get("/forgotten")(lambda: None)
    with pytest.raises(ValueError, match="declares 2 needs"):
        app.get("/two", dependencies=[Depends(everybody), Depends(needs("admin"))])(lambda: None)


def test_the_document_tells_the_same_roles(tmp_path, task_type) -> None:
    app = stub_app(task_type, Home(tmp_path / "home").ensure())
    document = app.openapi()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        for verb in route.methods:
            need, loopback_may = TABLE[verb, route.path]
            keyed = [] if need == ANYBODY else [{"key": [need]}] + ([{}] if loopback_may else [])
            operation = document["paths"][route.path][verb.lower()]
            assert operation["security"] == keyed, route.path
            assert {"401", "403"} <= operation["responses"].keys()
