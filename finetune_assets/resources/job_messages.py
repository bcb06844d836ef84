"""What a trainer's container says, read from Cloud Storage into the run's log by Dagster's own Pipes reader."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

INTERVAL_S = 5


@contextmanager
def job_messages(context: Any, client: Any, bucket: str, prefix: str) -> Iterator[None]:
    """Hand on a job's messages as long as the block runs.

    The place belongs to the job and not to the run, so that a run that attaches to the job again reads on.

    Args:
        context: the asset's context.
        client: the storage client.
        bucket: the bucket.
        prefix: names of the messages begin with it.
    """
    from dagster_gcp.pipes import PipesGCSMessageReader

    class Reader(PipesGCSMessageReader):
        @contextmanager
        def get_params(self) -> Iterator[dict[str, str]]:
            yield {"bucket": self.bucket, "key_prefix": prefix}

    with dg.open_pipes_session(
        context=context,
        context_injector=dg.PipesEnvContextInjector(),
        message_reader=Reader(bucket=bucket, client=client, interval=INTERVAL_S),
    ):
        yield
