from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune_assets.datasets.quality.config import PiiConfig, SecretsConfig
from finetune_assets.datasets.quality.pii import finders, personal_data
from finetune_assets.datasets.quality.secrets import secrets, secrets_in
from finetune_assets.records.errors import FinetuneError
from finetune_assets_tests.datasets.quality.written import row, write


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Write to ana.lee@uni-kiel.de today.", {"e-mail"}),
        ("Write to ana@example.org today.", set()),
        ("see user@localhost and a@b", set()),
        ("Call +49 30 901820 now", {"phone"}),
        ("Call (212) 555-2368 now", {"phone"}),
        ("doi: 10.1136/openhrt-2014-000196", set()),
        ("13(3), 259-262, ISBN 978-3-16-148410-0", set()),
        ("card 4111 1111 1111 1111", {"card"}),
        ("card 4111 1111 1111 1112", set()),
        ("pay to DE89 3704 0044 0532 0130 00 BY NOON", {"iban"}),
        ("pay to DE89 3704 0044 0532 0130 01", set()),
        ("my number is 111222333", {"nl.bsn"}),
        ("my number is 111222334", set()),
    ],
)
def test_kinds_of_personal_data(text: str, kinds: set[str]) -> None:
    find = finders(PiiConfig(identity_numbers=["nl.bsn"]))
    assert {kind for kind, count in find.items() if count(text)} == kinds


def test_rows_with_personal_data_name_no_text(tmp_path: Path) -> None:
    rows = [row(0, "Call +49 30 901820"), row(1, "Nothing."), row(2, "Who?", "ana.lee@uni-kiel.de")]
    found = personal_data(write(tmp_path, rows), PiiConfig())
    assert [(item["record_id"], item["field"], item["problem"]) for item in found.rows] == [
        ("r0", "input", "phone"),
        ("r2", "target", "e-mail"),
    ]
    assert not found.passed
    assert not {"901820", "ana.lee"} & set(json.dumps(found.to_json()).replace("@", " ").split())
    assert personal_data(tmp_path, PiiConfig(max_rows=2)).passed


def test_every_text_that_is_learned_from_is_looked_through(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "You serve ana.lee@uni-kiel.de."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Call +49 30 901820."},
        {"role": "user", "content": "Thanks"},
    ]
    rows = [row(0, "x", messages=turns), row(1, "y", facts={"rejected": f"key {SECRETS['AWS Access Key']}"})]
    found = personal_data(write(tmp_path, rows), PiiConfig())
    assert [(item["record_id"], item["field"]) for item in found.rows] == [("r0", "earlier answers, system turn")]
    assert [(item["record_id"], item["field"]) for item in secrets(tmp_path, SecretsConfig()).rows] == [
        ("r1", "rejected")
    ]


@pytest.mark.parametrize("name", ["nl.nothing", "os", "..storage", "nl.bsn; x"])
def test_an_unknown_identity_number_is_refused(name: str) -> None:
    with pytest.raises(FinetuneError, match="kind of identity number is unknown"):
        finders(PiiConfig(identity_numbers=[name]))


# Put together here, so that no scanner takes this file for a leak.
SECRETS = {
    "AWS Access Key": "AKIA" + "QWERTYUIOPASDFGH",
    "GitHub Token": "ghp_" + "a1B2" * 9,
    "Private Key": "-----BEGIN " + "RSA PRIVATE KEY-----",
    "Basic Auth Credentials": "https://bob:" + "hunter22@host.org/x",
    "Stripe Access Key": "sk_live_" + "0" * 24,
}


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items())
def test_kinds_of_secrets(kind: str, secret: str) -> None:
    assert secrets_in(f"first line\nkey = {secret}\nlast line") == {kind: 1}


def test_what_only_looks_like_a_secret() -> None:
    assert secrets_in("password = getPassword(); sha256 = '" + "0a" * 32 + "' // APACHE LICENSE APPLICATION") == {}


def test_rows_with_secrets_name_no_secret(tmp_path: Path) -> None:
    rows = [row(0, "Is this safe?", f"key = '{SECRETS['AWS Access Key']}'"), row(1, "Is this?", "Yes.")]
    found = secrets(write(tmp_path, rows), SecretsConfig())
    assert (found.passed, found.flagged, found.rows[0]["field"]) == (False, 1, "target")
    assert SECRETS["AWS Access Key"] not in json.dumps(found.to_json())
