"""finetune: the few verbs that are not a click in Dagster.

Here belong the commands, what they print, and how a run is executed in this process. What a run does is lineage's.
"""

from finetune_assets.cli.commands import main

__all__ = ["main"]
