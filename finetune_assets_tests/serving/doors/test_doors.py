"""Origins, limits, and how fast a key that was made or revoked is known."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from pydantic import ValidationError

from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.doors.callers import address_of, caller_of, is_loopback
from finetune_assets.serving.doors.keyring import MAX_AGE_S, KeyRing
from finetune_assets.serving.doors.rates import Rates
from finetune_assets.serving.problems import ApiProblem
from finetune_assets.storage.api_keys import KeyBook
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.home import Home
from finetune_assets_tests.serving.conftest import TASK
from finetune_assets_tests.serving.doors.gateways import FOREIGN, asked, bearer, made_keys, stub_app

PREDICT = f"/v1/tasks/{TASK}/predict"
OWN = "http://127.0.0.1:8700"
PAGE = "https://labels.example"


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home").ensure()


@pytest.fixture
def book(home):
    database = Database.open(home.database_url)
    yield KeyBook(database)
    database.close()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- origins ---------------------------------------------------------------------------------------------------------

OURS = [
    {},
    {"Origin": OWN},
    {"Origin": "HTTP://127.0.0.1:8700"},
    {"Host": "localhost"},
    {"Host": "[::1]:8700", "Origin": "http://[::1]:8700"},
    {"Host": "localhost:80", "Origin": "http://localhost"},
    {"Host": "models.example", "Origin": "https://models.example"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"},
]
THEIRS = [
    {"Origin": "http://127.0.0.1:4000"},
    {"Origin": "http://localhost:8700"},
    {"Origin": "https://labels.example.evil.example"},
    {"Origin": f"{PAGE}:8443"},
    {"Origin": f"{PAGE}/"},
    {"Origin": "null"},
    {"Origin": "file://"},
    {"Origin": "http://evil.example@127.0.0.1:8700"},
    {"Origin": ""} | {"Sec-Fetch-Site": "same-site"},
    [("Origin", OWN), ("Origin", "http://evil.example")],
    [("Origin", OWN), ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")],
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": OWN},
]
FOREIGN_HOSTS = ["evil.example", "127.0.0.1.evil.example", "evil@127.0.0.1", "", "10.0.0.8", "localhost.", "a b", "::1"]


def statuses(app, requests) -> list[tuple[int, str]]:
    async def run():
        async with asked(app) as ask:
            found = []
            for method, path, headers in requests:
                answer = await ask(method, path, headers=headers)
                body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
                code = body.get("error", {}).get("code") or body.get("title", "")
                found.append((answer.status_code, code.replace("_", " ")))
            return found

    return asyncio.run(run())


def test_pages_of_other_origins_are_refused_at_every_verb(task_type, home, book):
    app = stub_app(task_type, home, allowed_origins=(PAGE,), allowed_hosts=("models.example",))
    key = bearer(book.create("ana", ["predict", "admin"])[0])
    paths = [("GET", "/v1/models"), ("GET", "/healthz"), ("GET", "/metrics"), ("GET", "/openapi.json")]
    for headers in OURS:
        with_key = {**headers, **key}
        assert {status for status, _ in statuses(app, [(*one, with_key) for one in paths])} == {200}, headers
    for headers in THEIRS:
        items = list(headers.items() if isinstance(headers, dict) else headers) + list(key.items())
        asked_for = [(*one, items) for one in [*paths, ("POST", PREDICT), ("OPTIONS", PREDICT)]]
        assert set(statuses(app, asked_for)) == {(403, "foreign origin")}, headers
    for host in FOREIGN_HOSTS:
        asked_for = [(*one, {"Host": host, **key}) for one in paths]
        assert set(statuses(app, asked_for)) == {(403, "foreign host")}, host


def test_an_allowed_page_may_ask_and_read_and_no_other_is_told_so(task_type):
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}

    async def run():
        async with asked(stub_app(task_type, None, allowed_origins=(PAGE,))) as ask:
            before = await ask("OPTIONS", PREDICT, headers={"Origin": PAGE, **preflight})
            answer = await ask("POST", PREDICT, headers={"Origin": PAGE}, json={"text": "wake me"})
            other = await ask("OPTIONS", PREDICT, headers={"Origin": "https://evil.example", **preflight})
            return before, answer, other

    before, answer, other = asyncio.run(run())
    assert (before.status_code, answer.status_code, other.status_code) == (200, 200, 403)
    assert before.headers["access-control-allow-origin"] == answer.headers["access-control-allow-origin"] == PAGE
    assert "access-control-allow-credentials" not in before.headers
    assert not any(name.startswith("access-control") for name in other.headers)


def test_beyond_loopback_it_answers_to_addresses_too(task_type):
    app = stub_app(task_type, None, host="0.0.0.0")
    found = statuses(app, [("GET", "/healthz", {"Host": host}) for host in ("10.0.0.8:8700", "evil.example")])
    assert found == [(200, ""), (403, "foreign host")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"allowed_hosts": ["models.example:8700"]},
        {"allowed_hosts": ["Models.example"]},
        {"allowed_hosts": ["*"]},
        {"allowed_origins": ["labels.example"]},
        {"allowed_origins": ["https://labels.example/"]},
        {"allowed_origins": ["*"]},
        {"allowed_origins": ["null"]},
    ],
)
def test_settings_that_would_let_in_more_than_they_say_are_refused(wrong):
    with pytest.raises(ValidationError):
        GatewaySettings(**wrong)


# --- callers ---------------------------------------------------------------------------------------------------------


def test_loopback_is_told_from_its_lookalikes():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost"))
    lookalikes = (
        "10.0.0.1",
        "",
        "testclient",
        "localhost.evil.example",
        "0.0.0.0",
        "::",
        "::ffff:10.0.0.1",
        "2130706433",
    )
    assert not any(is_loopback(host) for host in lookalikes)


def test_who_has_one_address_of_an_ipv6_network_has_all():
    def named(host):
        return address_of({"client": (host, 1)})

    assert named("2001:db8::1") == named("2001:db8::ffff:2") != named("2001:db8:0:1::1")
    assert named("::ffff:10.0.0.1") == named("10.0.0.1")
    assert address_of({"client": None}) == named("a path") == ""


def test_without_a_door_a_caller_has_no_role():
    from starlette.requests import HTTPConnection

    assert caller_of(HTTPConnection({"type": "http", "state": {"caller": "admin"}})).roles == frozenset()


# --- limits ----------------------------------------------------------------------------------------------------------


def test_a_minutes_requests_and_then_one_at_a_time():
    clock = Clock()
    rates = Rates({"predict": 120, "none": 0}, clock)
    for _ in range(120):
        rates.spend("predict", "ana")
    with pytest.raises(ApiProblem) as refused:
        rates.spend("predict", "ana")
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
    rates.spend("predict", "ben")
    clock.now += 0.5
    rates.spend("predict", "ana")
    with pytest.raises(ApiProblem):
        rates.spend("predict", "ana")
    clock.now += 3600
    for _ in range(120):
        rates.spend("predict", "ana")
    for _ in range(10_000):
        rates.spend("none", "ana")


def test_in_every_window_no_caller_gets_more_than_the_limit_twice():
    clock = Clock()
    rates = Rates({"predict": 60}, clock)
    taken: list[float] = []
    waits: set[str] = set()
    for _ in range(4000):
        try:
            rates.spend("predict", "ana")
            taken.append(clock.now)
        except ApiProblem as problem:
            waits.add(problem.headers["Retry-After"])
        clock.now += 0.1
    for start in taken:
        assert sum(start <= moment < start + 60 for moment in taken) <= 121
    assert len(taken) == pytest.approx(60 + 400, abs=2)
    assert waits == {"1"}


def test_a_great_many_callers_take_a_bounded_room():
    rates = Rates({"predict": 60}, Clock())
    for number in range(25_000):
        rates.spend("predict", str(number))
    assert len(rates._buckets) == 10_000


def test_limits_at_the_gateway_by_key_and_by_address(task_type, home, book):
    first, second = (bearer(book.create(name, ["predict", "feedback"])[0]) for name in ("ana", "ben"))
    app = stub_app(task_type, home, predict_per_minute=3, feedback_per_minute=1, wrong_keys_per_minute=2)

    async def run():
        async with asked(app) as ask:
            models = [await ask("GET", "/v1/models", headers=headers) for headers in [first] * 4 + [second, {}]]
            said = [await ask("POST", "/v1/feedback", headers=first, json={}) for _ in range(2)]
            wrong = [await ask("GET", "/v1/models", headers=bearer("x"), client=FOREIGN) for _ in range(3)]
            right = await ask("GET", "/v1/models", headers=second, client=FOREIGN)
            probes = [await ask("GET", "/healthz") for _ in range(10)]
            return models, said, wrong, right, probes

    models, said, wrong, right, probes = asyncio.run(run())
    assert [one.status_code for one in models] == [200, 200, 200, 429, 200, 200]
    assert models[3].json()["error"]["code"] == "rate_limited"
    assert models[3].json()["error"]["type"] == "rate_limit_error"
    assert int(models[3].headers["retry-after"]) > 0
    assert [one.status_code for one in said] == [422, 429]
    assert said[1].json()["type"] == "urn:finetune:rate_limited"
    assert [one.status_code for one in wrong] == [401, 401, 429]
    assert right.status_code == 200, "wrong keys do not lock a right one out"
    assert {one.status_code for one in probes} == {200}


def test_a_stranger_is_told_whether_it_is_ready_and_no_more(task_type, home, book):
    key = bearer(book.create("ana", ["feedback"])[0])

    async def run():
        async with asked(stub_app(task_type, home)) as ask:
            strangers = [await ask("GET", "/readyz", client=FOREIGN), await ask("GET", "/readyz", headers={"Via": "x"})]
            known = [await ask("GET", "/readyz"), await ask("GET", "/readyz", client=FOREIGN, headers=key)]
            return strangers, known

    strangers, known = asyncio.run(run())
    assert [(one.status_code, one.json()) for one in strangers] == [(200, {"ready": True})] * 2
    assert all(TASK in one.json()["tasks"] for one in known)


def test_the_body_of_a_stranger_is_not_read(task_type, home):
    read = []

    async def body():
        read.append(1)
        yield b"{}"

    async def run():
        async with asked(stub_app(task_type, home)) as ask:
            for path in ("/v1/feedback", PREDICT):
                answer = await ask("POST", path, client=FOREIGN, content=body())
                assert (answer.status_code, answer.headers["connection"]) == (401, "close")

    # httpx's own transport reads a body only when the application asks for it.
    asyncio.run(run())
    assert not read


def test_bodies_of_feedback_are_bounded_too(task_type, home, book):
    key = bearer(book.create("ana", ["feedback"])[0])

    async def slow():
        yield b"{"
        await asyncio.sleep(5)

    async def run():
        async with asked(stub_app(task_type, home, max_body_bytes=1024, body_timeout_s=0.2)) as ask:
            large = await ask("POST", "/v1/feedback", headers=key, content=b"x" * 2000)
            late = await ask("POST", "/v1/feedback", headers=key, content=slow())
            return large, late

    large, late = asyncio.run(run())
    assert (large.status_code, large.json()["title"]) == (413, "body too large")
    assert (late.status_code, late.json()["title"]) == (408, "body too slow")


# --- the key ring ----------------------------------------------------------------------------------------------------


def test_a_new_key_works_at_once_and_a_revoked_one_stops_in_time(home, book):
    clock = Clock()
    ring = KeyRing(home.database_url, clock)

    async def run():
        assert await ring.caller("fta_000000000000_" + "A" * 43) is None
        clock.now += 0.3
        key, record = book.create("ana", ["predict"])
        assert (await ring.caller(key)).name == "ana"
        book.revoke(record.key_id)
        clock.now += MAX_AGE_S - 0.1
        assert await ring.caller(key), "what was read a moment ago still holds"
        clock.now += 0.2
        assert await ring.caller(key) is None
        soon, _ = book.create("ben", ["predict"], utc_now() + timedelta(milliseconds=300))
        clock.now += 1
        assert await ring.caller(soon)
        await asyncio.sleep(0.4)
        assert await ring.caller(soon) is None, "an end is kept to the moment, whatever was read before"

    asyncio.run(run())
    ring.close()


def test_wrong_keys_do_not_reach_the_database(home, book, monkeypatch):
    reads = []
    known = KeyBook.known
    monkeypatch.setattr(KeyBook, "known", lambda self: reads.append(1) or known(self))
    clock = Clock()
    ring = KeyRing(home.database_url, clock)

    async def run():
        for number in range(2000):
            assert await ring.caller(f"fta_{number:012x}_{'A' * 43}") is None
            clock.now += 0.001
        await asyncio.gather(*[ring.caller(f"fta_{number:012x}_{'B' * 43}") for number in range(200)])

    asyncio.run(run())
    assert len(reads) <= 2 / 0.25 + 2
    ring.close()


def test_keys_that_cannot_be_read_open_nothing_and_say_so(task_type, home, book, monkeypatch, caplog):
    key = bearer(book.create("ana", ["predict"])[0])
    database = home.path / "finetune.db"

    async def run():
        async with asked(stub_app(task_type, home)) as ask:
            database.write_bytes(b"this is no database" * 1000)
            for suffix in ("-wal", "-shm"):
                database.with_name(database.name + suffix).unlink(missing_ok=True)
            return await ask("GET", "/v1/models", headers=key), await ask("GET", "/v1/models")

    with caplog.at_level(logging.ERROR):
        keyed, plain = asyncio.run(run())
    assert (keyed.status_code, keyed.json()["error"]["code"]) == (503, "keys_out_of_reach")
    assert keyed.headers["retry-after"]
    assert plain.status_code == 200, "what needs no key goes on"
    assert key["Authorization"] not in caplog.text


@pytest.mark.parametrize("is_there", [True, False])
def test_all_who_waited_for_a_slow_database_share_one_reading(home, book, monkeypatch, is_there):
    key, _ = book.create("ana", ["predict"])
    clock, reads, known = Clock(), [], KeyBook.known

    def slow(self):
        reads.append(1)
        clock.now += MAX_AGE_S + 3
        if not is_there:
            raise StorageError("the database cannot be reached")
        return known(self)

    monkeypatch.setattr(KeyBook, "known", slow)
    ring = KeyRing(home.database_url, clock)

    async def run():
        return await asyncio.gather(*[ring.caller(key) for _ in range(50)], return_exceptions=True)

    found = asyncio.run(run())
    ring.close()
    assert len(reads) <= 2, "who asked while the first was under way waits for one more, and nobody for another"
    if is_there:
        assert {caller.name for caller in found} == {"ana"}
    else:
        assert {problem.code for problem in found} == {"keys_out_of_reach"}


def test_work_that_waits_for_the_database_holds_up_no_key(home, book):
    key, _ = book.create("ana", ["predict"])
    ring, held = KeyRing(home.database_url), threading.Event()

    async def run():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        waits = loop.run_in_executor(None, held.wait, 60)
        try:
            return await asyncio.wait_for(ring.caller(key), 10)
        finally:
            held.set()
            await waits

    assert asyncio.run(run()).name == "ana"
    ring.close()


def test_uses_are_written_down_at_most_once_a_minute(home, book):
    clock = Clock()
    ring = KeyRing(home.database_url, clock)
    key, _ = book.create("ana", ["predict"])
    asyncio.run(ring.caller(key))
    ring.close()
    (first,) = (record.last_used_at for record in book.list())
    assert first is not None
    asyncio.run(ring.caller(key))
    assert not ring._used
    clock.now += 61
    asyncio.run(ring.caller(key))
    ring.close()
    (second,) = (record.last_used_at for record in book.list())
    assert second > first


def test_the_caller_of_every_key_is_its_own(task_type, home):
    keys = made_keys(home)
    ring = KeyRing(home.database_url)

    async def run():
        return {name: await ring.caller(key) for name, key in keys.items()}

    found = asyncio.run(run())
    ring.close()
    assert {name for name, caller in found.items() if caller is None} == {
        "wrong",
        "unknown",
        "revoked",
        "expired",
        "rotated",
    }
    assert found["only-predict" if "only-predict" in found else "predict"].name == "only-predict"
