"""The `release:` part of a task's YAML."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from finetune_assets.releases.people import person_of


class ReleaseConfig(BaseModel):
    """How a candidate that passed its gates becomes live."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approval: Literal["automatic", "manual"] = Field(
        default="manual",
        description="Who decides about a candidate whose gates pass: `automatic` approves it at once, `manual` stops "
        "at the report until a person approves it.",
    )
    approvers: int = Field(
        default=1,
        ge=1,
        le=10,
        description="How many people have to approve the same candidate on the same report before it goes live. One "
        "person counts once, over whatever channel; 2 or more need `approval: manual`.",
    )
    approver_names: tuple[Annotated[str, StringConstraints(pattern=r"^[^\s@:]{1,80}$")], ...] = Field(
        default=(),
        description="Who may decide, by login name or name of an API key; empty lets everybody decide who is logged "
        "in on this machine or holds a key of the role `approve`.",
    )
    inconclusive: Literal["refuse", "person"] = Field(
        default="refuse",
        description="What may become of a candidate whose report is INCONCLUSIVE: `refuse` leaves it a candidate, "
        "`person` lets a person approve it, which is recorded. No policy ever approves it, and nobody a FAIL.",
    )
    probes: int = Field(
        default=8,
        ge=1,
        le=200,
        description="Recorded questions that a release must answer as the report saw them before it goes live.",
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.approvers > 1 and self.approval == "automatic":
            raise ValueError(f"approvers: {self.approvers} asks people, whom `approval: automatic` does not wait for")
        people = {person_of(name) for name in self.approver_names}
        if people and len(people) < self.approvers:
            raise ValueError(f"approvers: {self.approvers}, but approver_names names {len(people)} people")
        return self
