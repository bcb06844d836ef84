"""The image and what starts it: linted, and each of the image's commands run here from a clean environment.

No container engine is needed: the files are parsed, and the commands are started through the image's own entry point.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from finetune_assets.storage.home import Home
from finetune_assets_tests import deploy_facts
from finetune_assets_tests.postgres import fresh_database

PROJECT = Path(__file__).resolve().parents[1]
DEPLOY = PROJECT / "deploy"
COMPOSE = DEPLOY / "docker-compose.yaml"
VALUES = DEPLOY / "kubernetes" / "values.yaml"
PLATFORM = DEPLOY / "kubernetes" / "platform.yaml"
BIN = Path(sys.executable).parent
TRAINER = ["python", "-m", "finetune_assets.training.container"]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, value) of the Dockerfile in order."""
    from dockerfile_parse import DockerfileParser

    content = (PROJECT / "Dockerfile").read_bytes()
    parser = DockerfileParser(fileobj=io.BytesIO(content))
    return [(part["instruction"], part["value"]) for part in parser.structure if part["instruction"] != "COMMENT"]


def values_of(name: str) -> list[str]:
    return [value for instruction, value in instructions() if instruction == name]


# --- the Dockerfile


def test_the_base_is_pinned_and_can_be_pinned_by_digest() -> None:
    (base,) = [value for value in values_of("ARG") if value.startswith("BASE=")]
    image, _, tag = base.removeprefix("BASE=").partition(":")
    assert image == "python"
    assert tag.startswith("3.11.")
    assert values_of("FROM") == ["${BASE}"]


def test_it_runs_as_nobody_special() -> None:
    users = values_of("USER")
    assert users == ["10001:10001"]
    after = instructions()[[name for name, _ in instructions()].index("USER") :]
    assert not [name for name, _ in after if name in {"RUN", "COPY", "ADD"}], "what follows USER would be its own"


def test_every_file_that_it_copies_is_there_and_let_through() -> None:
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    assert ignored[1] == "*"
    for value in values_of("COPY"):
        *sources, _ = value.split()
        for source in sources:
            assert (PROJECT / source).exists(), source
            assert any(fnmatch(source.removeprefix("./"), pattern) for pattern in let_through), source
    assert not [pattern for pattern in let_through if not (PROJECT / pattern).exists()]


def test_it_installs_pinned_packages_and_no_tools_of_developers() -> None:
    installs = [value for value in values_of("RUN") if "pip install" in value]
    assert len(installs) == 2
    assert all("-c constraints.txt" in value for value in installs)
    assert not [value for value in installs if "dev" in value]
    assert not values_of("ADD")


def test_pinned_extras_exist() -> None:
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (line,) = [value for value in values_of("RUN") if "-e '.[" in value]
    extras = line.split("'.[")[1].split("]")[0].split(",")
    assert set(extras) <= project["optional-dependencies"].keys()
    pinned = {entry.split("==")[0].lower() for entry in (PROJECT / "constraints.txt").read_text().splitlines()}
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            assert requirement.split(">")[0].split("[")[0].lower() in pinned


def test_secrets_are_no_part_of_it() -> None:
    text = (PROJECT / "Dockerfile").read_text(encoding="utf-8").upper()
    assert not [word for word in ("TOKEN", "PASSWORD", "SECRET", "CREDENTIAL") if word in text]


def test_hadolint_finds_nothing() -> None:
    linter = shutil.which("hadolint", path=str(BIN))
    if linter is None:
        pytest.skip("hadolint is not installed here")
    done = subprocess.run([linter, "Dockerfile"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert done.returncode == 0


# --- compose


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(COMPOSE)["services"]
    return found


def test_compose_fits_its_schema() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_by_docker_itself(tmp_path: Path) -> None:
    """`docker compose config` resolves and checks; it needs no daemon, only the plugin."""
    docker = shutil.which("docker")
    plugin = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    if not plugin:
        pytest.skip("docker compose is not installed here")
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    shutil.copy(DEPLOY / "platform.env.example", tmp_path / "deploy" / "platform.env")
    command = [str(docker), "compose", "-f", str(tmp_path / "deploy" / "docker-compose.yaml"), "config", "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_service_is_there_guarded_and_watched() -> None:
    assert services().keys() == {"postgres", "code-server", "webserver", "daemon", "gateway"}
    for name, service in services().items():
        assert service["healthcheck"]["test"], name
        assert service["user"] not in {"root", "0", ""}, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        if name != "postgres":
            assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_ports_are_on_loopback_only() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:3000:3000", "127.0.0.1:8700:8700"]


def test_volumes_and_what_is_waited_for_exist() -> None:
    document = read(COMPOSE)
    for name, service in services().items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in document["volumes"] or (DEPLOY / source).is_file(), name
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert other in services()


def test_secrets_come_from_a_file_that_is_not_in_the_repository() -> None:
    for name, service in services().items():
        assert service["env_file"] == ["platform.env"], name
        assert not [key for key in service["environment"] if "PASSWORD" in key or "URL" in key], name
    example = (DEPLOY / "platform.env.example").read_text(encoding="utf-8")
    assert "POSTGRES_PASSWORD=\n" in example
    # A plain postgresql:// would ask for psycopg 3, which is not in the image.
    assert "DAGSTER_POSTGRES_URL=postgresql+psycopg2://" in example
    assert read(VALUES)["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"
    assert "deploy/*.env" in (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_workspace_names_the_code_server_as_compose_does() -> None:
    (entry,) = read(DEPLOY / "workspace.docker.yaml")["load_from"]
    server = entry["grpc_server"]
    assert server["host"] in services()
    command = services()[server["host"]]["command"]
    assert command[command.index("-p") + 1] == str(server["port"])
    assert json.loads(values_of("CMD")[0]) == command


# --- Kubernetes


def test_values_hold_names_that_the_chart_knows() -> None:
    values = read(VALUES)
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    coordinator = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    for part, known in (
        (values, deploy_facts.TOP),
        (values["global"], deploy_facts.GLOBAL),
        (values["dagsterWebserver"], deploy_facts.WEBSERVER),
        (values["dagsterDaemon"], deploy_facts.DAEMON),
        (coordinator, deploy_facts.QUEUE),
        (launcher, deploy_facts.K8S_RUN_LAUNCHER),
        (values["postgresql"], deploy_facts.POSTGRESQL),
        *((entry, deploy_facts.USER_DEPLOYMENT) for entry in values["dagster-user-deployments"]["deployments"]),
    ):
        assert set(part) <= known, set(part) - known


def test_values_say_what_dagster_yaml_says() -> None:
    values, instance = read(VALUES), read(PROJECT / "dagster.yaml")
    queue = values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]
    runs = instance["concurrency"]["runs"]
    assert queue["maxConcurrentRuns"] == runs["max_concurrent_runs"]
    assert queue["tagConcurrencyLimits"] == runs["tag_concurrency_limits"]
    retries = values["dagsterDaemon"]["runRetries"]
    assert retries["maxRetries"] == instance["run_retries"]["max_retries"]
    assert retries["retryOnAssetOrOpFailure"] is instance["run_retries"]["retry_on_asset_or_op_failure"]
    assert values["telemetry"]["enabled"] is False


def test_the_launcher_of_the_values_is_installed() -> None:
    from dagster_k8s import K8sRunLauncher

    assert read(VALUES)["runLauncher"]["type"] == K8sRunLauncher.__name__


def test_pods_are_nobody_special_and_share_one_image() -> None:
    values = read(VALUES)
    pods = [values["dagsterWebserver"], values["dagsterDaemon"], *values["dagster-user-deployments"]["deployments"]]
    assert all(pod["podSecurityContext"]["runAsNonRoot"] for pod in pods)
    assert {json.dumps(pod["image"]) for pod in pods} == {json.dumps(pods[0]["image"])}
    gateway = next(part for part in yaml.safe_load_all(PLATFORM.read_text()) if part["kind"] == "Deployment")
    image = pods[0]["image"]
    assert gateway["spec"]["template"]["spec"]["containers"][0]["image"] == f"{image['repository']}:{image['tag']}"


def test_objects_beside_the_chart_fit_kubernetes_own_schema() -> None:
    import kubernetes_validate

    found = list(yaml.safe_load_all(PLATFORM.read_text(encoding="utf-8")))
    for part in found:
        kubernetes_validate.validate(part, "1.33", strict=True)
    names = {(part["kind"], part["metadata"]["name"]) for part in found}
    values = read(VALUES)
    assert ("ServiceAccount", values["global"]["serviceAccountName"]) in names
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    for volume in launcher["volumes"]:
        assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names


def test_no_secret_is_written_down() -> None:
    assert "Secret" not in {part["kind"] for part in yaml.safe_load_all(PLATFORM.read_text(encoding="utf-8"))}
    assert "postgresqlPassword" not in read(VALUES)["postgresql"]


# --- the platform's database


def example_variables() -> dict[str, str]:
    lines = (DEPLOY / "platform.env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_compose_tells_every_command_where_the_database_is() -> None:
    url = make_url(Home.from_environment(example_variables()).database_url)
    assert (url.drivername, url.host, url.database) == ("postgresql+psycopg", "postgres", "finetune")
    assert f"CREATE DATABASE {url.database};" in (DEPLOY / "postgres.sql").read_text(encoding="utf-8")
    # In one database the two would take each other's schema version for their own.
    assert make_url(example_variables()["DAGSTER_POSTGRES_URL"]).database != url.database
    for name, service in services().items():
        assert service["env_file"] == ["platform.env"], name
    for name in ("code-server", "gateway"):
        assert services()[name]["depends_on"] == {"postgres": {"condition": "service_healthy"}}


def test_kubernetes_tells_every_command_where_the_database_is() -> None:
    values = read(VALUES)
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    for part in (*values["dagster-user-deployments"]["deployments"], launcher):
        assert {"name": "finetune-database"} in part["envSecrets"]
    gateway = next(part for part in yaml.safe_load_all(PLATFORM.read_text()) if part["kind"] == "Deployment")
    (container,) = gateway["spec"]["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "finetune-database"}}]


@pytest.mark.slow
def test_commands_of_the_image_use_the_database_that_is_named(tmp_path: Path) -> None:
    with fresh_database(is_empty=True) as url:
        for words in (["db", "upgrade"], ["db", "check"]):
            done = subprocess.run(
                entrypoint("finetune", *words),
                env=clean(tmp_path, FINETUNE_DATABASE_URL=url),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        assert "PostgreSQL's constraints" in done.stdout
    assert not (tmp_path / "finetune.db").exists()


# --- Dagster's instance


def test_the_postgres_instance_is_one_that_dagster_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.instance.config import dagster_instance_config
    from dagster._serdes import ConfigurableClassData

    shutil.copy(DEPLOY / "dagster.postgres.yaml", tmp_path / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://u:p@127.0.0.1:1/d")
    config, _ = dagster_instance_config(str(tmp_path))
    assert config["storage"] == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    from dagster_postgres import DagsterPostgresStorage

    assert ConfigurableClassData("dagster_postgres", DagsterPostgresStorage.__name__, "{}")


def entrypoint(*command: str) -> list[str]:
    return [str(DEPLOY / "entrypoint.sh"), *command]


def clean(home: Path, **variables: str) -> dict[str, str]:
    """Return an environment as the image has it: its own folder first, and nothing of this session."""
    return {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(home), "FINETUNE_HOME": str(home), **variables}


def test_the_entry_point_can_be_executed() -> None:
    assert (DEPLOY / "entrypoint.sh").stat().st_mode & stat.S_IXUSR
    assert json.loads(values_of("ENTRYPOINT")[0]) == ["/app/deploy/entrypoint.sh"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, "dagster.yaml"), ({"DAGSTER_POSTGRES_URL": "postgresql://x"}, "deploy/dagster.postgres.yaml")],
)
def test_the_entry_point_takes_the_storage_that_is_named(
    tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    done = subprocess.run(
        entrypoint("printenv", "DAGSTER_HOME"),
        env=clean(tmp_path, **variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "dagster")
    assert (tmp_path / "dagster" / "dagster.yaml").read_bytes() == (PROJECT / expected).read_bytes()
    assert [path.name for path in (tmp_path / "dagster").iterdir()] == ["dagster.yaml"]


def test_the_entry_point_leaves_the_charts_instance_alone(tmp_path: Path) -> None:
    mounted = tmp_path / "opt"
    mounted.mkdir()
    done = subprocess.run(
        entrypoint("printenv", "DAGSTER_HOME"),
        env=clean(tmp_path / "data", DAGSTER_HOME=str(mounted)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(mounted)
    assert list(mounted.iterdir()) == []


def test_without_a_home_it_says_so(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(entrypoint("true"), env=environ, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "set FINETUNE_HOME" in done.stderr


# --- the image's commands


def commands() -> dict[str, list[str]]:
    found = {name: service["command"] for name, service in services().items() if "command" in service}
    return {**found, "trainer": TRAINER}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["code-server", "webserver", "daemon", "gateway", "trainer"])
def test_every_command_explains_itself(tmp_path: Path, name: str) -> None:
    words = commands()[name]
    options = next((index for index, word in enumerate(words) if index > 2 and word.startswith("-")), len(words))
    done = subprocess.run(
        entrypoint(*words[:options], "--help"),
        env=clean(tmp_path),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def started(
    home: Path, command: list[str], log: Path, variables: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    environ = clean(home, **(variables or {}))
    with log.open("wb") as output:
        process = subprocess.Popen(
            entrypoint(*command), env=environ, cwd=PROJECT, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


def until(check: Any, process: subprocess.Popen[bytes], log: Path, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < end, log.read_text(errors="replace")[-2000:]
        time.sleep(0.5)


def healthy(home: Path, service: str, ports: dict[str, int], variables: dict[str, str] | None = None) -> bool:
    """Run the service's own health check, with this test's ports."""
    _, *command = services()[service]["healthcheck"]["test"]
    text = json.dumps(command)
    for known, port in ports.items():
        text = text.replace(known, str(port))
    environ = clean(home, DAGSTER_HOME=str(home / "dagster"), **(variables or {}))
    done = subprocess.run(json.loads(text), env=environ, cwd=PROJECT, capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def postgres() -> Iterator[dict[str, str]]:
    """The variables that name a PostgreSQL of this test's own; none where no PostgreSQL is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    tool = shutil.which("initdb") or (str(found[-1]) if found else None)
    if tool is None:
        yield {}
        return
    binaries = Path(tool).resolve().parent
    # PostgreSQL refuses to run as root.
    person: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    folder.chmod(0o777)
    data, port = str(folder / "data"), free_port()
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **person}
    subprocess.run([tool, "-D", data, "-U", "dagster", "-A", "trust", "--no-sync"], check=True, **quiet)
    options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen([str(binaries / "postgres"), "-D", data, *options], **quiet)
    try:
        until(
            lambda: (
                subprocess.run([str(binaries / "pg_isready"), "-h", str(folder), "-p", str(port)], **quiet).returncode
                == 0
            ),
            server,
            Path(data) / "PG_VERSION",
        )
        yield {"DAGSTER_POSTGRES_URL": f"postgresql+psycopg2://dagster@127.0.0.1:{port}/postgres"}
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_code_server_webserver_and_daemon_work_together(tmp_path: Path, postgres: dict[str, str]) -> None:
    """The three commands of compose, their ports and the code server's host replaced, and nothing else.

    As in compose Dagster's storage is PostgreSQL; where none is installed, the plain instance is taken.
    """
    ports = {"4000": free_port(), "3000": free_port()}
    workspace = tmp_path / "workspace.yaml"
    text = (DEPLOY / "workspace.docker.yaml").read_text(encoding="utf-8")
    workspace.write_text(text.replace("host: code-server", "host: 127.0.0.1").replace("4000", str(ports["4000"])))

    def command(name: str) -> list[str]:
        words = [str(workspace) if word == "deploy/workspace.docker.yaml" else word for word in commands()[name]]
        words = ["127.0.0.1" if word == "0.0.0.0" else word for word in words]
        return [str(ports.get(word, word)) for word in words]

    home = tmp_path / "home"
    home.mkdir()
    with started(home, command("code-server"), tmp_path / "code.log", postgres) as code:
        until(lambda: healthy(home, "code-server", ports, postgres), code, tmp_path / "code.log")
        with started(home, command("webserver"), tmp_path / "web.log", postgres) as web:
            until(lambda: healthy(home, "webserver", ports, postgres), web, tmp_path / "web.log")
            query = json.dumps({"query": "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{ports['3000']}/graphql", query, {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                nodes = json.loads(answer.read())["data"]["repositoriesOrError"]["nodes"]
            assert nodes, "the webserver sees no definitions"
        kept = list((home / "dagster").glob("**/*.db"))
        assert bool(kept) != bool(postgres), "the storage is not the one that was named"
        with started(home, command("daemon"), tmp_path / "daemon.log", postgres) as daemon:
            until(lambda: healthy(home, "daemon", ports, postgres), daemon, tmp_path / "daemon.log")


@pytest.mark.slow
def test_the_gateway_answers(tmp_path: Path) -> None:
    ports = {"8700": free_port()}
    words = ["127.0.0.1" if word == "0.0.0.0" else str(ports.get(word, word)) for word in commands()["gateway"]]
    with started(tmp_path, words, tmp_path / "gateway.log") as gateway:
        until(lambda: healthy(tmp_path, "gateway", ports), gateway, tmp_path / "gateway.log")


def test_the_trainers_command_is_the_backends() -> None:
    from finetune_assets.tuning.container_job import container_command

    assert container_command() == TRAINER


# --- the notes for Google Cloud


def test_the_notes_know_every_folder_that_is_written_in_the_bucket() -> None:
    from finetune_assets.lineage.bases import EMBEDDED_STAGE
    from finetune_assets.lineage.cloud.container_tuning import BASES, JOB_KIND, MESSAGES
    from finetune_assets.lineage.cloud.plan import JOBS
    from finetune_assets.lineage.cloud.remote_models import BATCHES
    from finetune_assets.lineage.uploaded_dataset import STAGE
    from finetune_assets.storage.gcs.store import INDEX

    notes = (DEPLOY / "gcp.md").read_text(encoding="utf-8")
    for folder in (STAGE, INDEX, EMBEDDED_STAGE, BASES, JOB_KIND, JOBS, MESSAGES, BATCHES):
        assert f"`{folder}/`" in notes, folder
    # A rule for a prefix that nothing is written below would never match.
    assert set(re.findall(r"\$PREFIX/(\w+)/", notes)) == {JOBS, MESSAGES, BATCHES}
    assert re.findall(r"for folder in ([\w ]+);", notes) == [f"{JOBS} {MESSAGES} {BATCHES}"]
