"""The versions of one task: their numbers from the database, their content from the artifact store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from finetune_assets.records.errors import FinetuneError
from finetune_assets.storage.artifacts import Artifact, ArtifactStore
from finetune_assets.storage.database import Database
from finetune_assets.storage.files import read_json
from finetune_assets.storage.heads import Head, namespaces, version_history
from finetune_assets.storage.namespaces import MAIN

SPLITS_KIND = "validated_splits"
RAW_KIND = "raw_observations"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Version:
    """One version.

    Attributes:
        head: its number, digest and keys.
        artifact: its files; None when they were removed.
        tombstone: why they were removed for good; None where they were not.
    """

    head: Head
    artifact: Artifact | None
    tombstone: dict[str, Any] | None = None

    @property
    def made_from(self) -> dict[str, Any]:
        """What the version says of its making; empty for one of before this was kept."""
        found: dict[str, Any] = (self.artifact.manifest if self.artifact else {}).get("made_from", {})
        return found

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The counts beside the splits; empty when the files were removed."""
        found: dict[str, Any] = read_json(self.artifact.file(SUMMARY)) if self.artifact else {}
        return found

    def files(self) -> Artifact:
        """Return the version's files.

        Raises:
            FinetuneError: when they were removed.
        """
        if self.artifact is None and self.tombstone is not None:
            raise FinetuneError(
                "the version was purged",
                where=f"{self.head.task} version {self.head.number}",
                found=f"{self.tombstone.get('reason')}, {self.tombstone.get('at')}",
                expected="a version that holds nothing of somebody who is forgotten",
                mend=f"take a later one, see `finetune data versions {self.head.task}`",
            )
        if self.artifact is None:
            raise FinetuneError(
                "the version's files are gone",
                where=f"{self.head.task} version {self.head.number}",
                found=f"no artifact {SPLITS_KIND}/{self.head.artifact_key}",
                mend="restore the artifact folder from a backup",
            )
        return self.artifact

    def verified(self) -> Artifact:
        """Return the version's files after reading each again.

        Raises:
            FinetuneError: when they were removed or changed.
        """
        artifact = self.files()
        return verified(artifact, f"{self.head.task} version {self.head.number}")

    def describe(self) -> dict[str, Any]:
        """Return one line of `finetune data versions --json`."""
        return {
            "namespace": self.head.namespace,
            "number": self.head.number,
            "digest": self.head.digest,
            "created_at": self.head.created_at.isoformat(),
            "restored_from": self.head.restored_from,
            "splits": self.summary.get("splits"),
            "quarantined": self.summary.get("quarantined"),
            "duplicates": self.summary.get("duplicates"),
            "files": self.made_from.get("files", []),
            "taxonomy": self.made_from.get("taxonomy", ""),
            "code": self.made_from.get("code", {}),
            "inputs_key": self.head.inputs_key,
            "artifact": self.head.artifact_key,
            "raw": self.artifact.manifest.get("raw", "") if self.artifact else "",
            "kept": self.artifact is not None,
        }


@dataclass(frozen=True)
class Catalogue:
    """All versions of one task in one namespace."""

    database: Database
    artifacts: ArtifactStore
    task: str
    namespace: str = MAIN

    def versions(self) -> list[Version]:
        """Return every version, oldest first."""
        return [
            Version(
                head,
                self.artifacts.find(SPLITS_KIND, head.artifact_key),
                self.artifacts.tombstone(SPLITS_KIND, head.artifact_key),
            )
            for head in version_history(self.database, self.task, self.namespace)
        ]

    def version(self, number: int | None = None) -> Version:
        """Return one version, by default the newest.

        Raises:
            FinetuneError: when there is none of that number.
        """
        self.require_namespace()
        found = self.versions()
        if not found:
            raise FinetuneError(
                "the task has no dataset version yet",
                where=self.task,
                mend=f"make one with `finetune run {self.task} --until validated_splits`",
            )
        if number is None:
            return found[-1]
        for version in found:
            if version.head.number == number:
                return version
        raise FinetuneError(
            "there is no such version",
            where=self.task,
            found=str(number),
            expected=f"1 to {found[-1].head.number}",
            mend=f"see `finetune data versions {self.task}`"
            + (f" --namespace {self.namespace}" if self.namespace != MAIN else ""),
        )

    def namespaces(self) -> dict[str, int]:
        """Return the versions of each namespace, counted: `main`, and one for each kind of experiment."""
        return dict(namespaces(self.database, self.task))

    def require_namespace(self) -> None:
        """Refuse a namespace that has no version; `main` may be empty.

        Raises:
            FinetuneError: when it has none; it names those that have.
        """
        known = self.namespaces()
        if self.namespace == MAIN or self.namespace in known:
            return
        raise FinetuneError(
            "the task has no dataset version in this namespace",
            where=self.task,
            found=self.namespace,
            expected=", ".join(known) or MAIN,
            mend=f"see `finetune data versions {self.task}`",
        )

    def raw_of(self, version: Version) -> Artifact | None:
        """Return the raw records that a version was built from, None when they were removed."""
        key = version.files().manifest.get("raw", "")
        return self.artifacts.find(RAW_KIND, key) if key else None


def verified(artifact: Artifact, name: str) -> Artifact:
    """Return the artifact when each of its files reads back as it was committed.

    Args:
        artifact: what to read.
        name: what to call it in an error.

    Raises:
        FinetuneError: when a file is missing, extra or changed; it names the first and says how many.
    """
    problems = artifact.verify()
    if problems:
        raise FinetuneError(
            "files are not as they were made",
            where=f"{name}, {artifact.path}",
            found=f"{problems[0]}" + (f" and {len(problems) - 1} more" if len(problems) > 1 else ""),
            expected="the digests of the manifest",
            mend="restore the folder from a backup, or use another version",
        )
    return artifact
