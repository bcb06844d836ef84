"""`finetune report`, and how reports and releases look in a terminal."""

from __future__ import annotations

import io
import json
import webbrowser
from pathlib import Path

import pytest
from rich.console import Console

from finetune_assets.cli.report_view import headline, print_report
from finetune_assets.evaluation.report.markdown import report_markdown
from finetune_assets.evaluation.report.page import report_page
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import write_atomic, write_json_atomic
from finetune_assets.storage.home import Home
from finetune_assets.storage.stages import record_stage
from finetune_assets_tests.cli.conftest import Finetune
from finetune_assets_tests.evaluation.report.page.cases import TIMINGS, report_of, rows_of

REPORT = report_of()


@pytest.fixture
def judged(platform_home: Path, tools: Path) -> Artifact:
    """The task `tools` with a report, as judging keeps it."""
    home = Home(platform_home).ensure()
    with ArtifactStore(home.artifacts).create("validation_report", "k" * 20) as staging:
        write_json_atomic(staging.path / "report.json", REPORT)
        write_atomic(staging.path / "report.md", report_markdown(REPORT))
        write_atomic(staging.path / "report.html", report_page(REPORT, rows_of(), TIMINGS))
        artifact = staging.commit({"task": "tools"}, outside_digest=["report.html"])
    record_stage(
        Database.open(home.database_url),
        task="tools",
        namespace="main",
        stage="validation_report",
        run_id="run",
        kind=artifact.kind,
        key=artifact.key,
        digest=artifact.digest,
        reused=False,
    )
    return artifact


@pytest.mark.parametrize("option", [[], ["--page"]])
def test_the_path_of_the_page_is_all_that_is_printed(judged: Artifact, finetune: Finetune, option: list[str]) -> None:
    assert finetune("report", "tools", *option).out == f"{judged.path / 'report.html'}\n"


def test_json_and_markdown_are_the_reports_own(judged: Artifact, finetune: Finetune) -> None:
    assert finetune("report", "tools", "--json").json() == json.loads(json.dumps(REPORT))
    assert finetune("report", "tools", "--markdown").out == report_markdown(REPORT)


def test_two_forms_at_once_are_a_wrong_command_line(judged: Artifact, finetune: Finetune) -> None:
    assert finetune("report", "tools", "--json", "--markdown").code == 2


def test_open_opens_the_page(judged: Artifact, finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda place: opened.append(place) or True)
    assert finetune("report", "tools", "--open").code == 0
    assert opened == [(judged.path / "report.html").as_uri()]


def test_a_report_without_its_texts_is_still_read(judged: Artifact, finetune: Finetune) -> None:
    (judged.path / "report.html").unlink()
    said = finetune("report", "tools")
    assert said.code == 1
    assert "--markdown" in said.error
    assert finetune("report", "tools", "--markdown").code == 0


def test_a_task_without_a_report_says_so(tools: Path, finetune: Finetune) -> None:
    said = finetune("report", "tools")
    assert (said.code, "there is no report yet" in said.error) == (1, True)


def test_the_terminal_shows_measures_down_and_models_across() -> None:
    stream = io.StringIO()
    print_report(Console(file=stream, width=160, highlight=False), REPORT)
    lines = stream.getvalue().splitlines()
    row = next(line for line in lines if line.startswith("│ exact label"))
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["exact label", "81.0 %", "0.0 %", "100.0 %"]
    assert "Gate: PASS" in stream.getvalue()


@pytest.mark.parametrize(
    ("scores", "told"),
    [({"exact": 0.5, "correct": 0.25}, "exact 0.500"), ({"wer": 0.1, "correct": 0.25}, "correct 0.250"), ({}, "")],
)
def test_a_release_is_spoken_of_by_exact_where_there_is_one(scores: dict[str, float], told: str) -> None:
    assert headline(scores) == told
