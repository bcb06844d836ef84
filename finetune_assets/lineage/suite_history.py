"""How the regression suites fared over the releases: figures, losses and their trend, read from the kept reports."""

from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Any

from finetune_assets.lineage.judging import REPORT
from finetune_assets.releases.registry import Registry
from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import read_json


@dataclass(frozen=True)
class SuiteTrend:
    """One suite over the releases.

    Attributes:
        suite: its name.
        measure: the measure that it is judged by.
        rows: for each release, oldest first: version, rows of the suite, figure, gain over what it was held against,
            rows that lost much, rows newly wrong, and the gate's verdict.
    """

    suite: str
    measure: str
    rows: list[dict[str, Any]]

    def summary(self) -> dict[str, Any]:
        """Return what source 001 names: latest, mean, spread, least and greatest; and the change since the first."""
        gains = [row["gain"] for row in self.rows]
        values = [row["value"] for row in self.rows if row["value"] is not None]
        return {
            "suite": self.suite,
            "measure": self.measure,
            "releases": len(self.rows),
            "latest": values[-1] if values else None,
            "change_since_first": values[-1] - values[0] if values else None,
            "mean_gain": fmean(gains),
            "spread_of_gains": pstdev(gains),
            "least_gain": min(gains),
            "greatest_gain": max(gains),
        }


def suite_history(database: Database, artifacts: ArtifactStore, task: str) -> list[SuiteTrend]:
    """Return every suite's history; releases whose report is gone, or whose report has no suites, are left out."""
    found: dict[str, SuiteTrend] = {}
    for release in Registry(database).releases(task):
        artifact = artifacts.find(REPORT, release.report_key)
        if artifact is None:
            continue
        report = read_json(artifact.file("report.json"))
        verdicts = {gate["name"]: gate["verdict"] for gate in report["verdict"]["gates"]}
        for name, suite in sorted(report.get("suites", {}).items()):
            trend = found.setdefault(name, SuiteTrend(name, report["primary"], []))
            trend.rows.append(
                {
                    "version": release.version,
                    "rows": suite["rows"],
                    "value": suite["comparison"]["candidate"],
                    "gain": suite["comparison"]["difference"],
                    "lost_much": len(suite["failed"]),
                    "newly_wrong": len(suite["new_failures"]),
                    "verdict": verdicts.get(f"suite:{name}", ""),
                }
            )
    return [found[name] for name in sorted(found)]
