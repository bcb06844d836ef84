"""What the gateway counts, for Prometheus. Each gateway has a registry of its own; texts never become labels."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# Seconds; from a lone request to the embedded model (about 10 ms) up to the default time limit.
_LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class GatewayMetrics:
    """The gateway's counters.

    Attributes:
        requests: answered requests by task ("" where the task is not known), route and HTTP status.
        latency: seconds from the request's head to the answer's head, by task and route.
        live: 1 for the release that answers, by task, version and candidate.
        load_failures: releases that could not be loaded, by task.
        poll_failures: times that the pointer could not be read.
        waiting: questions in the queue.
        batch_size: questions in one call of an engine.
    """

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "finetune_requests", "Answered requests.", ["task", "route", "status"], registry=self.registry
        )
        self.latency = Histogram(
            "finetune_request_seconds",
            "Seconds from request to answer.",
            ["task", "route"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.live = Gauge(
            "finetune_live_release",
            "1 for the release that answers.",
            ["task", "version", "candidate"],
            registry=self.registry,
        )
        self.load_failures = Counter(
            "finetune_release_load_failures", "Releases that could not be loaded.", ["task"], registry=self.registry
        )
        self.poll_failures = Counter(
            "finetune_pointer_poll_failures", "Times that the pointer could not be read.", registry=self.registry
        )
        self.waiting = Gauge("finetune_waiting_questions", "Questions in the queue.", registry=self.registry)
        self.batch_size = Histogram(
            "finetune_batch_questions",
            "Questions in one call of an engine.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )

    def show_live(self, task: str, version: int, candidate: str) -> None:
        """Say which release answers for a task, in place of the one before."""
        self.hide_live(task)
        self.live.labels(task, str(version), candidate).set(1)

    def hide_live(self, task: str) -> None:
        """Say that no release answers for a task."""
        self.live.remove_by_labels({"task": task})

    def exposition(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        return generate_latest(self.registry)
