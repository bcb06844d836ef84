"""Gateways for rehearsals: the real gateway in a process of its own, asked before anything becomes live."""

from collections.abc import Iterator
from contextlib import contextmanager

from finetune_assets.serving.listing import ReleaseRef
from finetune_assets.serving.process import RunningGateway, start_gateway
from finetune_assets.storage.home import Home

LOG_NAME = "rehearsal.log"


class Gateways:
    """Starts gateways that serve given releases.

    A plain object and no ConfigurableResource, of which Dagster makes copies: a copy would not hold the warm gateway.
    """

    @contextmanager
    def serving(self, home: Home, release: ReleaseRef) -> Iterator[RunningGateway]:
        """Give a gateway that answers with `release`, which need not be live; it is stopped afterwards.

        Raises:
            FinetuneError: when the gateway does not start or the release cannot be served.
        """
        with self._gateway(home) as gateway:
            gateway.serve([release])
            gateway.wait_ready(task=release.task, candidate=release.candidate)
            yield gateway

    def _gateway(self, home: Home) -> RunningGateway:
        return start_gateway(home, log=home.logs / LOG_NAME, releases=[])


class WarmGateways(Gateways):
    """Gateways of which the first is started early, so that its libraries are loaded when it is needed."""

    def __init__(self) -> None:
        self._warm: RunningGateway | None = None

    def warm(self, gateway: RunningGateway) -> None:
        """Take a gateway that was started with an empty list of releases."""
        self._warm = gateway

    def _gateway(self, home: Home) -> RunningGateway:
        gateway, self._warm = self._warm, None
        return gateway or super()._gateway(home)
