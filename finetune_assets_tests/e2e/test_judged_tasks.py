"""Every shipped task runs through to its report on the embedded base; variants, suites and open verdicts besides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from finetune_assets.storage.files import read_json
from finetune_assets_tests.e2e.command import TASK, Said, finetune, live_release, materializations, result

# A few rows and a fraction of an epoch: what is tested is the way, not the model.
QUICK = ("--set", "tuning.epochs=0.2", "--set", "dataset.min_train_rows=10", "--set", "evaluation.resamples=200")
# Answers of code run to the end of the context where nothing was learned: one strategy with short ones will do.
SHORT = ("--set", "source_code.strategies=[explanation]", "--set", "tuning.max_length=256")
# task, rows of the subset, its primary measure, what it is held beside, settings
OTHERS = [
    ("speech", 150, "wer", {"majority", "nearest", "unchanged"}, ()),
    ("environment", 150, "token_f1", {"majority", "nearest"}, ()),
    ("java", 100, "identifiers", {"majority", "nearest"}, SHORT),
    ("router", 40, "route_exact", {"majority", "nearest"}, ()),
]


def report_of(home: Path, task: str, said: Said) -> dict[str, Any]:
    """Return the report that a run printed the place of."""
    pages = [path for path in (home / "artifacts" / "validation_report").glob("*/report.json")]
    reports = [read_json(path) for path in pages]
    (report,) = [report for report in reports if report["task"] == task]
    return report


@pytest.mark.parametrize(("task", "rows", "primary", "trivial", "settings"), OTHERS)
def test_a_task_runs_through_to_its_report(
    fresh_home: Any,
    tmp_path: Path,
    task: str,
    rows: int,
    primary: str,
    trivial: set[str],
    settings: tuple[str, ...],
) -> None:
    home = fresh_home(tmp_path / "home")
    said = finetune(home, "run", task, "--limit", str(rows), *QUICK, *settings)
    # A model this small and this briefly tuned passes no gate, and must not.
    assert said.code == 3, said.all
    assert "gate not passed" in said.all
    report = report_of(home, task, said)
    assert report["primary"] == primary
    assert report["verdict"]["verdict"] in {"FAIL", "INCONCLUSIVE"}
    assert set(report["scores"]) == {"candidate", "baseline", *trivial}
    assert report["context_length"] == 2048
    assert report["scores"]["candidate"]["rows"] == report["rows"] > 0
    assert live_release(home, task) is None
    for name in ("majority", "nearest"):
        # The trivial baselines answer what the task type itself can read.
        assert report["scores"][name]["coverage"] == 1.0


@pytest.fixture(scope="module")
def varied(judged_home: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A home in which two variants were tuned, one hardly at all."""
    import shutil

    home = Path(shutil.copytree(judged_home.path, tmp_path_factory.mktemp("varied") / "home"))
    variants = "tuning.variants={whole: {}, hasty: {epochs: 0.05}}"
    return home, finetune(home, "run", TASK, "--set", variants)


def test_the_best_variant_on_validation_is_judged_once_on_test(varied: tuple[Path, Said]) -> None:
    home, said = varied
    assert said.code == 0, said.all
    reports = [read_json(path) for path in (home / "artifacts" / "validation_report").glob("*/report.json")]
    (report,) = [report for report in reports if "variants" in report["sections"]]
    section = report["sections"]["variants"]
    assert section["chosen"] == "whole"
    assert [row["variant"] for row in section["ranking"]] == ["whole", "hasty"]
    assert section["ranking"][0]["value"] > section["ranking"][1]["value"]
    # Only the chosen one was asked the test rows: base and candidate, beside the two on validation.
    kept = [read_json(path) for path in (home / "artifacts" / "answers").glob("*/manifest.json")]
    assert len({json.dumps(item["model"], sort_keys=True) for item in kept}) == 3


def test_each_variant_is_an_asset_of_its_own(varied: tuple[Path, Said]) -> None:
    home, _ = varied
    run_id = finetune(home, "status", TASK, "--json").json()[0]["last_run"]["run_id"]
    made = materializations(home, run_id)
    assert {"tuned_adapter_whole", "tuned_adapter_hasty"} <= set(made)
    assert "tuned_adapter" not in made
    # The variant without a setting of its own is the adapter that was there already.
    assert made["tuned_adapter_whole"]["reused"]


def suite(folder: Path, rows: list[dict[str, Any]]) -> tuple[str, str]:
    """Write a suite's file and return the arguments that name it."""
    path = folder / "suite.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return "--set", f"evaluation.suites=[{{name: greetings, kind: edge, path: '{path}'}}]"


def suite_gate(home: Path) -> dict[str, Any]:
    reports = [read_json(path) for path in (home / "artifacts" / "validation_report").glob("*/report.json")]
    (report,) = [report for report in reports if report["config"]["suites"]]
    (gate,) = [gate for gate in report["verdict"]["gates"] if gate["name"] == "suite:greetings"]
    return gate


def test_a_suite_whose_rows_cannot_be_read_proves_nothing(home: Path, tmp_path: Path) -> None:
    said = finetune(home, "run", TASK, *suite(tmp_path, [{"id": "1", "notes": "no label"}]))
    assert said.code == 3, said.all
    assert suite_gate(home)["verdict"] == "INCONCLUSIVE"


def test_a_suite_of_training_rows_proves_nothing(home: Path, tmp_path: Path) -> None:
    train = read_rows(result(home, "validated_splits").file("examples.jsonl"), "train")[:20]
    places = {(row["source"]["file"], row["source"]["line"]) for row in train}
    records = [
        json.loads(line)
        for line in result(home, "raw_observations").file("records.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    leaked = [item["fields"] for item in records if (item["source"]["file"], item["source"]["line"]) in places]
    said = finetune(home, "run", TASK, *suite(tmp_path, leaked))
    assert said.code == 3, said.all
    gate = suite_gate(home)
    assert gate["verdict"] == "INCONCLUSIVE"
    assert "stand in training" in gate["reason"]
    assert gate["records"]


def read_rows(path: Path, split: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["split"] == split]


# A verdict that nobody can give: the rule protects rows that do not exist.
OPEN = {"FINETUNE_CHILDCARE__EVALUATION__CRITICAL": "{slice: nobody}"}
PERSON = {"FINETUNE_CHILDCARE__RELEASE__INCONCLUSIVE": "person"}
MANUAL = {"FINETUNE_CHILDCARE__RELEASE__APPROVAL": "manual"}


def candidate_of(home: Path) -> str:
    return str(result(home, "validation_report").manifest["candidate"])[:12]


def test_an_open_verdict_is_approved_by_no_policy(home: Path) -> None:
    said = finetune(home, "run", TASK, env={**OPEN, **PERSON})
    assert said.code == 3, said.all
    assert result(home, "validation_report").manifest["verdict"] == "INCONCLUSIVE"
    assert live_release(home) is None
    decided = finetune(home, "approve", TASK, candidate_of(home), "--note", "looks fine", env={**OPEN, **MANUAL})
    assert decided.code == 1
    assert "has not passed its gates" in decided.all
    assert live_release(home) is None


def test_an_open_verdict_is_approved_by_a_person_where_yaml_says_so(home: Path) -> None:
    env = {**OPEN, **PERSON, **MANUAL}
    assert finetune(home, "run", TASK, env=env).code == 3
    decided = finetune(home, "approve", TASK, candidate_of(home), "--note", "rows are on their way", env=env)
    assert decided.code == 0, decided.all
    live = live_release(home)
    assert live is not None
    assert live.version == 1


def test_a_verdict_by_other_rules_is_no_verdict(home: Path) -> None:
    # The home's report passed; the rules are stricter now, and nobody has judged by them.
    env = {"FINETUNE_CHILDCARE__EVALUATION__FLOOR": "{exact: 0.99}", **MANUAL}
    decided = finetune(home, "approve", TASK, candidate_of(home), "--note", "it passed once", env=env)
    assert decided.code == 1
    assert "made by other rules" in decided.all
    assert live_release(home) is None


def test_a_failed_verdict_is_approved_by_nobody(home: Path) -> None:
    env = {"FINETUNE_CHILDCARE__EVALUATION__FLOOR": "{exact: 0.99}", **PERSON, **MANUAL}
    assert finetune(home, "run", TASK, env=env).code == 3
    decided = finetune(home, "approve", TASK, candidate_of(home), "--note", "never mind", env=env)
    assert decided.code == 1
    assert "FAIL" in decided.all
    assert live_release(home) is None


class Silent(BaseHTTPRequestHandler):
    """An endpoint in OpenAI's shape whose model never gives a verdict."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "I would rather not."},
            "finish_reason": "stop",
        }
        body = json.dumps({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output to themselves."""


@pytest.fixture
def judge_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


def test_people_and_a_judging_model_are_heard_and_do_not_decide(home: Path, tmp_path: Path, judge_url: str) -> None:
    rows = read_rows(result(home, "validated_splits").file("examples.jsonl"), "test")[:12]
    ratings = "".join(f"{row['record_id']},candidate,{5 - n % 2},ann\n" for n, row in enumerate(rows))
    (tmp_path / "ratings.csv").write_text(f"record_id,model,rating,rater\n{ratings}nobody,candidate,3,ann\n")
    env = {
        "FINETUNE_CHILDCARE__EVALUATION__MANUAL_SCORES": json.dumps({"file": str(tmp_path / "ratings.csv")}),
        "FINETUNE_CHILDCARE__EVALUATION__LLM_JUDGE": json.dumps(
            {
                "enabled": True,
                "endpoint": {"kind": "openai", "base_url": judge_url, "model": "m"},
                "sample_rows": 6,
                "hijack_probes": 1,
            }
        ),
        **MANUAL,
    }
    said = finetune(home, "run", TASK, env=env)
    assert said.code == 0, said.all
    sections = read_json(result(home, "validation_report").file("report.json"))["sections"]
    assert {"label_court", "manual_scores", "llm_judge"} <= set(sections)
    assert all(sections[name]["markdown"] for name in ("label_court", "manual_scores", "llm_judge"))
    assert sections["llm_judge"]["rows"] == 6
    assert sections["llm_judge"]["verdict"] is None
    page = result(home, "validation_report").file("report.md").read_text(encoding="utf-8")
    assert "ann" not in json.dumps(sections["manual_scores"])
    assert sections["manual_scores"]["markdown"].splitlines()[-1] in page
