"""The `release:` part of a task's YAML."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ReleaseConfig(BaseModel):
    """How a candidate that passed its gates becomes live."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    approval: Literal["automatic", "manual"] = Field(
        default="manual",
        description="Who decides about a candidate whose gates pass: `automatic` approves it at once, `manual` stops "
        "at the report until a person approves it.",
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
