"""The home folder: where the database, the artifacts and Dagster's instance of one installation live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from finetune_assets.storage.errors import StorageError
from finetune_assets.storage.files import explain_unwritable

HOME_VARIABLE = "FINETUNE_HOME"
DATABASE_VARIABLE = "FINETUNE_DATABASE_URL"
DEFAULT_HOME = ".finetune"
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Home:
    """One installation's folder.

    Attributes:
        path: the folder, absolute.
        named_database: SQLAlchemy URL of a database elsewhere, "" for the file in the folder. It may hold a password,
            so it is never shown.
    """

    path: Path
    named_database: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], folder: Path | None = None) -> Home:
        """Read `FINETUNE_HOME`; without it, or with a blank one, `.finetune` in the working directory.

        `FINETUNE_DATABASE_URL` names the database; without it, or with a blank one, it is SQLite's in the folder.

        Args:
            environ: the environment, usually `os.environ`.
            folder: the folder, when it is known already.

        Raises:
            StorageError: when the path cannot stand in a database URL.
        """
        named = environ.get(HOME_VARIABLE, "").strip()
        path = (folder or Path(named or DEFAULT_HOME).expanduser()).absolute()
        if any(character in str(path) for character in "?\0\n"):
            # SQLAlchemy would read what follows a question mark as options of the URL.
            raise StorageError(
                f"{HOME_VARIABLE} holds a character that a database URL cannot hold",
                found=repr(str(path)),
                expected="a path without question marks and line breaks",
                mend=f"choose another folder for {HOME_VARIABLE}",
            )
        return cls(path, environ.get(DATABASE_VARIABLE, "").strip())

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the database: the named one, else the SQLite file in this folder."""
        return self.named_database or f"sqlite:///{self.path / 'finetune.db'}"

    @property
    def artifacts(self) -> Path:
        """Root of the artifact store."""
        return self.path / "artifacts"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME: the instance that CLI, UI and daemon share."""
        return self.path / "dagster"

    @property
    def work(self) -> Path:
        """Folders of work that a later run resumes, such as training checkpoints."""
        return self.path / "work"

    @property
    def logs(self) -> Path:
        """Log files of subprocesses."""
        return self.path / "logs"

    def ensure(self) -> Home:
        """Make the folders, readable by their owner only, and return this home.

        Folders that exist keep the mode they have.

        Raises:
            StorageError: when a folder cannot be made.
        """
        for folder in (self.path, self.artifacts, self.dagster, self.work, self.logs):
            with explain_unwritable(folder):
                folder.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        return self
