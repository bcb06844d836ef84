"""A page on another origin, in a real browser: it neither launches, approves nor reads, at the UI and at the gateway.

The same attacks on a webserver without the guard do launch runs, so the browser is not what stops them.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import httpx
import pytest
from sqlalchemy import func, select

from finetune_assets.feedback.prediction_store import FILE_NAME, PredictionStore
from finetune_assets.storage.api_keys import ROLES, KeyBook
from finetune_assets.storage.database import Database
from finetune_assets.storage.feedback_models import ErrorCaseRow, FeedbackRow
from finetune_assets.storage.home import Home
from finetune_assets.storage.models import ApprovalRow
from finetune_assets_tests.e2e.browser import CHROMIUM, Browser, browsing, foreign_site
from finetune_assets_tests.e2e.command import PROJECT, environment
from finetune_assets_tests.serving.conftest import TASK, serving, task_type, wait_ready  # noqa: F401
from finetune_assets_tests.serving.doors.gateways import ANSWER, KeptSource, bearer
from finetune_assets_tests.serving.fakes import FakeEngine, ref

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")

STONE = """
import dagster as dg


@dg.op
def lie_still():
    pass


@dg.job
def stone():
    lie_still()


defs = dg.Definitions(jobs=[stone])
"""
# Every way in which a page can send something without being asked, each with what it could read of the answer.
ATTACKS = """
(async () => {
  const target = %(target)s, posts = %(posts)s, reads = %(reads)s, sockets = %(sockets)s, headers = %(headers)s;
  const read = {};
  const attempt = async (name, what) => {
    try { read[name] = await Promise.race([what(), new Promise(end => setTimeout(() => end(''), 4000))]) || ''; }
    catch (error) { read[name] = ''; }
  };
  const text = async answer => answer.type === 'opaque' ? '' : answer.ok ? await answer.text() : '';
  const waited = () => new Promise(end => setTimeout(() => end(''), 300));
  const form = (path, body, type, method) => {
    const made = document.createElement('form');
    Object.assign(made, {method, action: target + path, enctype: type, target: 'into' + Math.random()});
    const frame = document.createElement('iframe');
    frame.name = made.target;
    document.body.append(frame, made);
    for (const [name, value] of Object.entries(body)) {
      const input = document.createElement('input');
      Object.assign(input, {name, value});
      made.append(input);
    }
    made.submit();
    return waited();
  };
  let number = 0;
  for (const [path, body] of posts) {
    const id = ++number, sent = JSON.stringify(body), json = {'Content-Type': 'application/json'};
    await attempt(id + ' json', async () => text(await fetch(target + path,
      {method: 'POST', headers: json, body: sent})));
    await attempt(id + ' keyed', async () => text(await fetch(target + path,
      {method: 'POST', headers: {...json, ...headers}, body: sent, credentials: 'include'})));
    for (const type of ['text/plain', 'text/plain; application/json', 'application/x-www-form-urlencoded']) {
      for (const mode of ['cors', 'no-cors']) {
        await attempt(id + type + mode, async () => text(await fetch(target + path,
          {method: 'POST', mode, headers: {'Content-Type': type}, body: sent})));
      }
    }
    await attempt(id + ' bare', async () => text(await fetch(target + path, {method: 'POST', mode: 'no-cors'})));
    await attempt(id + ' beacon', async () => { navigator.sendBeacon(target + path, sent); return waited(); });
    await attempt(id + ' plain form', () => form(path, {['{"a":"']: '"}'}, 'text/plain', 'post'));
    await attempt(id + ' form', () => form(path, body, 'application/x-www-form-urlencoded', 'post'));
    await attempt(id + ' multipart', () => form(path, body, 'multipart/form-data', 'post'));
  }
  for (const path of reads) {
    const id = ++number;
    await attempt(id + ' cors', async () => text(await fetch(target + path)));
    await attempt(id + ' keyed', async () => text(await fetch(target + path, {headers, credentials: 'include'})));
    await attempt(id + ' no-cors', async () => text(await fetch(target + path, {mode: 'no-cors'})));
    for (const tag of ['img', 'script', 'iframe']) {
      const made = document.createElement(tag);
      made.src = target + path;
      document.body.append(made);
    }
    await waited();
    for (const frame of document.querySelectorAll('iframe')) {
      try { read[id + ' frame'] = frame.contentDocument.body.innerText; } catch (error) { read[id + ' frame'] = ''; }
    }
    const query = Object.fromEntries(new URL(target + path).searchParams);
    await attempt(id + ' get form', () => form(path.split('?')[0], query, 'application/x-www-form-urlencoded', 'get'));
  }
  for (const [path, protocol] of sockets) {
    await attempt(++number + ' socket', () => new Promise(end => {
      const line = new WebSocket(target.replace('http', 'ws') + path, protocol);
      line.onmessage = message => end(message.data);
      line.onopen = () => { line.send('{"type":"connection_init"}'); setTimeout(() => end('open'), 500); };
      line.onerror = line.onclose = () => end('');
    }));
  }
  return JSON.stringify(read);
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium") / "profile") as opened:
        yield opened


def attack(browser: Browser, page: str, target: str, **ways: Any) -> dict[str, str]:
    """Attack from a page; return what it could read, by attempt, without what it could not."""
    given = {"posts": [], "reads": [], "sockets": [], "headers": {}, **ways, "target": target}
    script = ATTACKS % {name: json.dumps(value) for name, value in given.items()}
    found = json.loads(browser.run(page, script))
    return {name: text for name, text in found.items() if text}


def fetched(browser: Browser, page: str, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
    """Fetch from a page; return status and text."""
    options: dict[str, Any] = {"headers": headers}
    if body is not None:
        options |= {"method": "POST", "body": json.dumps(body)}
        options["headers"] = {"Content-Type": "application/json", **headers}
    script = f"""fetch({json.dumps(path)}, {json.dumps(options)})
        .then(async answer => JSON.stringify({{status: answer.status, text: await answer.text()}}))
        .catch(error => JSON.stringify({{status: 0, text: ''}}))"""
    found: dict[str, Any] = json.loads(browser.run(page, script))
    return found


# --- the UI ----------------------------------------------------------------------------------------------------------


@contextmanager
def webserver(module: str, folder: Path, home: Path) -> Iterator[str]:
    """Run a webserver over one small job; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "stone.py").write_text(STONE)
    environ = {**environment(home), "DAGSTER_HOME": str(home / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", module, "-h", "127.0.0.1", "-p", str(port), "-f", str(folder / "stone.py")]
    with (folder / f"{module}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, (folder / f"{module}.log").read_text(errors="replace")[-3000:]
            try:
                if httpx.get(f"{url}/server_info", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                assert time.monotonic() < deadline, "the webserver did not start in time"
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def launch_of(url: str) -> str:
    """Return the mutation that launches the job."""
    query = "{repositoriesOrError{... on RepositoryConnection{nodes{name location{name}}}}}"
    found = httpx.post(f"{url}/graphql", json={"query": query}, trust_env=False, timeout=60).json()
    (node,) = found["data"]["repositoriesOrError"]["nodes"]
    selector = f'repositoryLocationName:"{node["location"]["name"]}",repositoryName:"{node["name"]}",jobName:"stone"'
    return (
        f'mutation{{launchRun(executionParams:{{selector:{{{selector}}},mode:"default",runConfigData:"{{}}"}})'
        "{__typename ... on PythonError{message}}}"
    )


def ways_into(mutation: str) -> dict[str, Any]:
    told = quote(mutation, safe="")
    return {
        "posts": [
            ["/graphql", {"query": mutation}],
            [f"/graphql?query={told}", {"query": mutation}],
            ["/report_asset_materialization/planted", {}],
        ],
        "reads": [
            f"/graphql?query={told}",
            f"/%67raphql?query={told}&extensions=%7B%7D",
            "/graphql?query=%7Bversion%7D",
            "/server_info",
        ],
        "sockets": [["/graphql", "graphql-ws"]],
    }


@pytest.fixture
def instance(platform_home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as made:
        yield made


def test_a_foreign_page_neither_launches_nor_reads_at_the_ui(browser, instance, platform_home, tmp_path):
    asset = dg.AssetKey("planted")
    with (
        webserver("finetune_assets.cli.guarded_webserver", tmp_path, platform_home) as url,
        foreign_site() as port,
    ):
        mutation = launch_of(url)
        ways = ways_into(mutation)
        for page in (f"http://localhost:{port}/", f"http://127.0.0.1:{port}/", f"http://evil.test:{port}/"):
            assert attack(browser, page, url, **ways) == {}, page
        rebound = url.replace("127.0.0.1", "evil.test")
        found = fetched(browser, f"{rebound}/server_info", "/graphql", {"query": mutation})
        assert (found["status"], found["text"][:8]) == (403, "refused:")
        assert fetched(browser, f"{rebound}/server_info", "/server_info")["status"] == 403
        assert instance.get_runs_count() == 0
        assert instance.get_latest_materialization_event(asset) is None
        # The UI itself works: it shows the job, which it asks for by GraphQL, and may launch it.
        shown = browser.run(f"{url}/jobs", settle_s=0)
        deadline = time.monotonic() + 60
        while "stone" not in shown and time.monotonic() < deadline:
            shown = browser.run(f"{url}/jobs", settle_s=3)
        assert "stone" in shown
        found = fetched(browser, f"{url}/server_info", "/graphql", {"query": mutation})
        assert json.loads(found["text"])["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", found
        assert instance.get_runs_count() == 1


def test_without_the_guard_the_same_page_does(browser, instance, platform_home, tmp_path):
    with webserver("dagster_webserver", tmp_path, platform_home) as url, foreign_site() as port:
        told = quote(launch_of(url), safe="")
        few = {"posts": [["/report_asset_materialization/planted", {}]], "reads": [f"/graphql?query={told}"]}
        attack(browser, f"http://localhost:{port}/", url, **few)
        assert instance.get_runs_count() > 0
        assert instance.get_latest_materialization_event(dg.AssetKey("planted")) is not None


# --- the gateway -----------------------------------------------------------------------------------------------------


def counted(home: Home) -> tuple[int, ...]:
    """Return how many predictions, cases, pieces of feedback and approvals there are."""
    database = Database.open(home.database_url)
    with database.reading() as session:
        rows = [
            session.scalar(select(func.count()).select_from(one)) for one in (ErrorCaseRow, FeedbackRow, ApprovalRow)
        ]
    database.close()
    connection = PredictionStore(home.path / FILE_NAME).connect()
    predictions = connection.execute("SELECT count(*) FROM predictions").fetchone()[0]
    connection.close()
    return (predictions, *(int(number or 0) for number in rows))


def test_a_foreign_page_neither_asks_approves_nor_reads_at_the_gateway(browser, tmp_path, task_type):  # noqa: F811
    home = Home(tmp_path / "home").ensure()
    database = Database.open(home.database_url)
    key, _ = KeyBook(database).create("ana", list(ROLES))
    database.close()
    engine = FakeEngine(ANSWER)
    source = KeptSource(task_type, lambda _: engine)
    source.wanted = {TASK: ref(1)}
    predict, feedback = f"/v1/tasks/{TASK}/predict", "/v1/feedback"
    with foreign_site() as port:
        friend = f"http://localhost:{port}"
        with serving(source, home=home, wrong_keys_per_minute=0) as client:
            wait_ready(client)
            url = str(client.base_url).rstrip("/")
            own = client.post(predict, json={"text": "wake me"}).json()["request_id"]
            said = {"task": TASK, "request_id": own, "verdict": "wrong"}
            decided = {"candidate": ref(1).candidate, "decision": "approve", "note": "planted"}
            ways = {
                "posts": [
                    [predict, {"text": "planted"}],
                    ["/v1/chat/completions", {"model": TASK, "messages": [{"role": "user", "content": "planted"}]}],
                    [feedback, said],
                    [f"/v1/tasks/{TASK}/approvals", decided],
                ],
                "reads": ["/v1/models", "/metrics", "/readyz", "/healthz", "/openapi.json"],
                "sockets": [["/", "graphql-ws"]],
                # Even a page that knows a key may not use it.
                "headers": bearer(key),
            }
            before, asked = counted(home), len(engine.batches)
            for page in (f"{friend}/", f"http://127.0.0.1:{port}/", f"http://evil.test:{port}/"):
                assert attack(browser, page, url, **ways) == {}, page
            rebound = url.replace("127.0.0.1", "evil.test")
            for path, body in (("/v1/models", None), (predict, {"text": "planted"})):
                assert fetched(browser, f"{rebound}/healthz", path, body)["status"] == 403
            assert (counted(home), len(engine.batches)) == (before, asked)
            assert before == (1, 0, 0, 0)
            # A page of the gateway's own origin may ask, and with a key give feedback.
            assert fetched(browser, f"{url}/healthz", predict, {"text": "mine"})["status"] == 200
            assert fetched(browser, f"{url}/healthz", feedback, said)["status"] == 401
            assert fetched(browser, f"{url}/healthz", feedback, said, **bearer(key))["status"] == 200
            assert counted(home)[:3] == (2, 1, 1)
        with serving(source, home=home, allowed_origins=(friend,)) as client:
            wait_ready(client)
            url = str(client.base_url).rstrip("/")
            found = fetched(browser, f"{friend}/", f"{url}{predict}", {"text": "a friend"}, **bearer(key))
            assert (found["status"], json.loads(found["text"])["task"]) == (200, TASK)
            assert fetched(browser, f"http://127.0.0.1:{port}/", f"{url}/v1/models")["status"] == 0
