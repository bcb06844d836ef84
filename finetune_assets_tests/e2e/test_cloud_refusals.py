"""What cannot be tuned is refused by one line that names the mend, and nothing is left half submitted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from finetune_assets_tests.e2e.cloud import Cloud, cloud_at
from finetune_assets_tests.e2e.command import MadeHome
from finetune_assets_tests.twin.world import PROJECT_ID

NO_QUOTA = {
    "match": "POST .*/tuningJobs",
    "status": 429,
    "message": "Quota exceeded for aiplatform.googleapis.com/global_concurrent_tuning_jobs",
}
NO_TIME = {"CLOUD__DEADLINES__QUOTA_H": "0.000001"}


@dataclass(frozen=True)
class Case:
    """One thing that is wrong.

    Attributes:
        name: what it is.
        words: what the line has to say.
        switches: switches of the Vertex stand-in.
        settings: settings of the task.
        faults: faults of the Vertex stand-in.
    """

    name: str
    words: tuple[str, ...]
    switches: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    faults: tuple[dict[str, Any], ...] = ()


def project(word: str) -> dict[str, Any]:
    return {"projects": {PROJECT_ID: word}}


CASES = [
    Case("wrong_project", ("project", PROJECT_ID, "cloud.project"), project("CONSUMER_INVALID")),
    Case(
        "api_disabled", ("not enabled", "gcloud services enable aiplatform.googleapis.com"), project("SERVICE_DISABLED")
    ),
    Case("no_billing", ("billing is not enabled", "gcloud billing projects link"), project("BILLING_DISABLED")),
    Case("no_permission", ("permission", "roles/aiplatform.user"), project("PERMISSION")),
    Case("missing_bucket", ("bucket", "no-such-bucket"), settings={"CLOUD__BUCKET": "gs://no-such-bucket/x"}),
    Case("denied_model", ("gemini-2.5-flash",), {"denied_models": ["gemini-2.5-flash"]}),
    Case(
        "unknown_model",
        ("gemini-1.5-flash-002", "no longer tuned"),
        settings={"TUNING__BASE_MODEL": "gemini-1.5-flash-002"},
    ),
    Case("region", ("global", "cloud.location"), settings={"CLOUD__LOCATION": "global"}),
    Case("quota", ("quota", "Quotas"), settings=NO_TIME, faults=(NO_QUOTA,)),
    Case("budget", ("budget", "childcare_gemini"), settings={"CLOUD__BUDGET__MONTHLY_USD": "0.01"}),
    Case("one_job_too_dear", ("per_job_usd",), settings={"CLOUD__BUDGET__PER_JOB_USD": "0.01"}),
    Case(
        "retired_model",
        ("gemini-2.0-flash-001", "no longer tuned"),
        settings={"TUNING__BASE_MODEL": "gemini-2.0-flash-001"},
    ),
    Case("old_prices", ("price", "prices_max_age_days"), settings={"CLOUD__BUDGET__PRICES_MAX_AGE_DAYS": "1"}),
    Case("preflight", ("preflight refuses", "cloud.media"), settings={"CLOUD__MEDIA": "[]"}),
    Case("wrong_mode", ("full", "peft"), settings={"TUNING__MANAGED": "{mode: full}"}),
]
ALWAYS = {"api_disabled", "budget"}


@pytest.fixture
def cloud(uploaded_home: MadeHome, tmp_path: Path) -> Iterator[Cloud]:
    with cloud_at(tmp_path, uploaded_home) as found:
        yield found


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=() if case.name in ALWAYS else pytest.mark.soak) for case in CASES],
)
def test_it_is_refused_by_one_line_and_nothing_is_submitted(cloud: Cloud, case: Case) -> None:
    cloud.world.vertex.settings(**case.switches)
    cloud.world.vertex.faults(list(case.faults))
    said = cloud.run("childcare_gemini", "--until", "tuned_adapter", **case.settings)
    line = said.one_error()
    print(line)
    for word in case.words:
        assert word.lower() in line.lower()
    assert "Mend:" in line
    assert cloud.jobs() == []
    # What was refused for good is no more on anybody's budget.
    reserved = [intent for intent in cloud.intents() if intent.handle]
    assert reserved == []


PRICE_ELSEWHERE = """
currency: USD
sources: {own: https://cloud.google.com/vertex-ai/pricing}
prices:
  - {kind: training_tokens, name: gemini-2.5-flash, price: 5, unit: 1M tokens, region: us-east1, source: own,
     as_of: 2026-11-01}
"""


@pytest.mark.soak
def test_an_unknown_price_blocks(cloud: Cloud, tmp_path: Path) -> None:
    own = tmp_path / "prices.yaml"
    own.write_text(PRICE_ELSEWHERE, encoding="utf-8")
    said = cloud.run("childcare_gemini", "--until", "tuned_adapter", CLOUD__BUDGET__PRICES=str(own))
    line = said.one_error()
    assert "the price is not known" in line
    assert "us-east1" in line
    assert cloud.intents() == []
    assert cloud.jobs() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("FINETUNE_ALLOW_EMULATOR", ""), ("STORAGE_EMULATOR_HOST", "http://storage.example.com")],
)
def test_a_stand_in_elsewhere_or_without_leave_is_refused(cloud: Cloud, name: str, value: str) -> None:
    line = cloud.run("childcare_gemini", "--until", "tuned_adapter", env={name: value}).one_error()
    assert "stand-in" in line
    assert cloud.jobs() == []
