"""The two resources of every asset: where the platform keeps its things, and what this one run was asked to do."""

import os
from pathlib import Path

import dagster as dg
from pydantic import Field

from finetune_assets.storage.artifacts import ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.home import Home


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The platform's home: database, artifacts and work folders; FINETUNE_DATABASE_URL names a database elsewhere."""

    home_path: str = Field(
        default="",
        description="Folder of the database, the artifacts and the work in progress. "
        "Empty: the environment variable FINETUNE_HOME, else `.finetune` in the working directory.",
    )

    def home(self) -> Home:
        """Return the home, with its folders made."""
        home = Home.from_environment(os.environ, Path(self.home_path).resolve() if self.home_path else None)
        home.ensure()
        return home

    def artifacts(self) -> ArtifactStore:
        """Return the artifact store of this home."""
        return ArtifactStore(self.home().artifacts)

    def database(self) -> Database:
        """Return the opened database of this home, its schema current."""
        return Database.open(self.home().database_url)


class RunOptions(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What one run was asked to do differently; set in the Launchpad or by `finetune run`.

    A run with a limit, with overrides or of a smoke test is an experiment: it works in a namespace of its own and never
    becomes the head of the dataset or the live release.
    """

    limit: int = Field(
        default=0, ge=0, description="Take a stratified subset of about N examples, whole leak groups; 0 takes all."
    )
    smoke: bool = Field(
        default=False,
        description="Try the way of a tuning job on a few rows: the adapter is asked one question, and what worked is "
        "written down. Set a limit too; `finetune run --smoke` takes `cloud.smoke.rows`.",
    )
    overrides: dict[str, str] = Field(
        default_factory=dict,
        description="Values that win over environment, defs.yaml and defaults, such as {'tuning.epochs': '3'}.",
    )

    @property
    def is_experiment(self) -> bool:
        """True when this run may not touch the head or the live release."""
        return bool(self.limit or self.overrides or self.smoke)
