"""`finetune keys`: a shell takes the secret from the standard output, and nothing else says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from finetune_assets.cli.commands import app
from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.api_keys import KeyBook
from finetune_assets.storage.database import Database
from finetune_assets.storage.errors import StorageError


@pytest.fixture
def finetune(platform_home: Path, capsys):
    def say(*arguments: str) -> tuple[str, str]:
        result = CliRunner().invoke(app, ["keys", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr + capsys.readouterr().err + capsys.readouterr().out

    return say


def caller(home: Path, key: str):
    database = Database.open(f"sqlite:///{home / 'finetune.db'}")
    found = KeyBook(database).check(key)
    database.close()
    return found


def listed(finetune) -> list[dict]:
    return json.loads(finetune("list", "--json")[0])


def test_the_secret_stands_alone_on_stdout_and_is_told_once(finetune, platform_home):
    out, around = finetune("create", "ana", "--role", "feedback", "--role", "approve", "--days", "7")
    key = out.strip()
    assert out == f"{key}\n"
    assert key not in around
    assert caller(platform_home, key).roles == {"feedback", "approve"}
    (record,) = listed(finetune)
    assert (record["name"], record["roles"], record["state"]) == ("ana", ["feedback", "approve"], "valid")
    assert record["created_by"].startswith("user:")
    assert key not in finetune("list", "--json")[0]
    assert "secret" not in record


def test_rotation_and_revocation(finetune, platform_home):
    first = finetune("create", "ana", "--role", "predict", "--days", "0")[0].strip()
    (old,) = listed(finetune)
    assert old["expires_at"] is None
    second = finetune("rotate", old["key"], "--overlap-hours", "2")[0].strip()
    assert caller(platform_home, first).name == caller(platform_home, second).name == "ana"
    new = next(record for record in listed(finetune) if record["replaces"] == old["key"])
    third = finetune("rotate", new["key"])[0].strip()
    assert caller(platform_home, second) is None
    newest = next(record for record in listed(finetune) if record["replaces"] == new["key"])
    finetune("revoke", newest["key"])
    assert caller(platform_home, third) is None
    states = {record["key"]: record["state"] for record in listed(finetune)}
    assert (states[old["key"]], states[new["key"]], states[newest["key"]]) == ("valid", "expired", "revoked")


@pytest.mark.parametrize(
    "arguments", [("create", "Ana B", "--role", "predict"), ("create", "ana", "--role", "root"), ("revoke", "absent")]
)
def test_what_cannot_be_is_an_error_of_one_line(platform_home, arguments):
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert isinstance(result.exception, FinetuneError | StorageError)
    assert "\n" not in str(result.exception)


def test_a_key_needs_a_role(platform_home):
    assert CliRunner().invoke(app, ["keys", "create", "ana"]).exit_code == 2
