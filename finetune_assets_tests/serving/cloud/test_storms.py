"""The whole way after tuning, under storms of failures and with a caller that dies at every point: nothing twice."""

from __future__ import annotations

import random
from typing import Any

import pytest

from finetune_assets.serving.cloud import endpoints
from finetune_assets.serving.cloud.endpoints import list_endpoints, roll_back, shift, undeploy
from finetune_assets.serving.cloud.model_registry import list_versions
from finetune_assets.tuning.cloud.clients import CloudClients
from finetune_assets_tests.fakes.vertex import Vertex
from finetune_assets_tests.serving.cloud.conftest import QUICK, Killed
from finetune_assets_tests.serving.cloud.test_endpoints import BLUE, GREEN, OTHER, placed
from finetune_assets_tests.serving.cloud.test_model_registry import name

STATUSES = (429, 500, 503, 504)


def storm(seed: int, share: float) -> list[dict[str, Any]]:
    """Fail a share of all requests: by a status before or after the work, or a cut connection before or after it."""
    kinds: list[dict[str, Any]] = [{"status": status} for status in STATUSES]
    kinds += [{"status": status, "when": "after_commit"} for status in STATUSES[1:]]
    kinds += [{"cut": "before"}, {"cut": "after_commit"}]
    # The first fault that fires wins, so that each has its share of what is left.
    return [
        {
            "match": "projects/",
            "probability": share / (len(kinds) - share * number),
            "seed": seed * 100 + number,
            **kind,
        }
        for number, kind in enumerate(kinds)
    ]


def whole_way(clients: CloudClients) -> None:
    placed(clients)
    endpoint = placed(clients, OTHER).name
    shift(clients, endpoint, {GREEN: 100}, patience=QUICK)
    roll_back(clients, endpoint, to=BLUE, away=GREEN, patience=QUICK)


def check_whole_way(clients: CloudClients) -> None:
    (endpoint,) = list_endpoints(clients, patience=QUICK)
    assert dict(endpoint.traffic) == {BLUE: 100}
    assert [item.version for item in list_versions(clients, name(clients), patience=QUICK)][:1] == ["1"]
    candidates = [item.candidate for item in list_versions(clients, name(clients), patience=QUICK)]
    assert len(candidates) == len(set(candidates)) == 2
    endpoints.delete(clients, endpoint.name, patience=QUICK)
    assert list_endpoints(clients, patience=QUICK) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_half_of_all_requests_fail_and_it_finishes(vertex: Vertex, clients: CloudClients, seed: int) -> None:
    vertex.faults(storm(seed, 0.5))
    whole_way(clients)
    endpoint = endpoints.endpoint_name(clients, "router_task")
    undeploy(clients, endpoint, GREEN, patience=QUICK)
    assert sum(vertex.fault_hits()) > 10
    vertex.faults([])
    check_whole_way(clients)


class Mortal(CloudClients):
    """Clients whose caller dies before or after a chosen request; the service goes on."""

    deaths_at: int = 0
    after: bool = False
    count: int = 0

    def gapic(self, name: str) -> Any:
        return _Dying(super().gapic(name), self)


class _Dying:
    def __init__(self, client: Any, owner: Mortal) -> None:
        self._client, self._owner = client, owner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **more: Any) -> Any:
            self._owner.count += 1
            dies = self._owner.count == self._owner.deaths_at
            if dies and not self._owner.after:
                raise Killed(name)
            try:
                return method(*arguments, **more)
            finally:
                if dies:
                    raise Killed(name)

        return call


def deaths(vertex: Vertex, clients: CloudClients, seed: int) -> int:
    """Run the whole way with a caller that dies at random requests and is started again; return how often it died."""
    dice = random.Random(seed)
    died = 0
    while True:
        mortal = Mortal(clients.config, clients._environ)
        mortal.deaths_at, mortal.after = dice.randint(1, 12 + 4 * died), dice.random() < 0.5
        try:
            whole_way(mortal)
        except Killed:
            died += 1
        else:
            return died


@pytest.mark.parametrize("seed", range(4))
def test_a_caller_that_dies_anywhere_leaves_nothing_twice(vertex: Vertex, clients: CloudClients, seed: int) -> None:
    assert deaths(vertex, clients, seed) > 0
    check_whole_way(clients)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 160))
def test_many_callers_die_in_storms(vertex: Vertex, clients: CloudClients, seed: int) -> None:
    vertex.faults(storm(seed, 0.5 if seed % 2 else 0.2))
    deaths(vertex, clients, seed)
    vertex.faults([])
    check_whole_way(clients)
