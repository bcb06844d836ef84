"""Gateways without a network: asked through ASGI, so that a test says where a request comes from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from finetune_assets.feedback.config import FeedbackConfig
from finetune_assets.records.task_type import TaskType
from finetune_assets.serving.config import GatewaySettings
from finetune_assets.serving.gateway import create_app
from finetune_assets.storage.api_keys import ROLES, KeyBook
from finetune_assets.storage.clock import utc_now
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home
from finetune_assets_tests.serving.conftest import TASK
from finetune_assets_tests.serving.fakes import FakeEngine, FakeSource, ref

HERE = ("127.0.0.1", 40_000)
FOREIGN = ("203.0.113.9", 40_000)
ANSWER = '{"domain":"Home","label":"alarm"}'

Ask = Callable[..., Any]


class KeptSource(FakeSource):
    """Releases with a section `feedback:`."""

    def load(self, reference):
        return replace(super().load(reference), feedback=FeedbackConfig(subject_field="person"))


def stub_app(task_type: TaskType, home: Home | None, **settings: Any) -> FastAPI:
    """Return a gateway whose model says one thing at once."""
    source = KeptSource(task_type, lambda _: FakeEngine(ANSWER))
    source.wanted = {TASK: ref(1)}
    limits = {"wrong_keys_per_minute": 0, **settings}
    return create_app(source, GatewaySettings(poll_s=0.05, batch_wait_ms=0.0, **limits), home=home)


@asynccontextmanager
async def asked(app: FastAPI) -> AsyncIterator[Ask]:
    """Run an application and give `ask(method, path, client=HERE, **more)`; it waits until a release answers."""
    clients: dict[tuple[str, int] | None, httpx.AsyncClient] = {}

    async def ask(method: str, path: str, *, client: tuple[str, int] | None = HERE, **more: Any) -> httpx.Response:
        if client not in clients:
            transport = httpx.ASGITransport(app, client=client)  # type: ignore[arg-type]
            clients[client] = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700")
        return await clients[client].request(method, path, **more)

    async with app.router.lifespan_context(app):
        for _ in range(400):
            if (await ask("GET", "/readyz")).status_code == 200:
                break
            import asyncio

            await asyncio.sleep(0.01)
        try:
            yield ask
        finally:
            for client in clients.values():
                await client.aclose()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def made_keys(home: Home) -> dict[str, str]:
    """Make a key of every role, one of all, and some that open nothing; give them by what they are."""
    database = Database.open(home.database_url)
    book = KeyBook(database)
    keys = {role: book.create(f"only-{role}", [role])[0] for role in ROLES}
    keys["all"] = book.create("everything", list(ROLES))[0]
    keys["revoked"], record = book.create("gone", list(ROLES))
    book.revoke(record.key_id, by="test")
    long_ago = utc_now() - timedelta(days=2)
    keys["expired"], _ = book.create("late", list(ROLES), long_ago + timedelta(days=1), at=long_ago)
    keys["rotated"], record = book.create("turned", list(ROLES))
    keys["successor"], _ = book.rotate(record.key_id)
    database.close()
    keys["wrong"] = keys["all"][:-4] + ("AAAA" if keys["all"][-4:] != "AAAA" else "BBBB")
    keys["unknown"] = f"fta_{'0' * 12}_{'A' * 43}"
    return keys
