"""The gateway's settings. Every one has a default that fits one machine."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, field_validator

LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:]+")
_ORIGIN = re.compile(r"https?://[a-z0-9._-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


class GatewaySettings(BaseModel):
    """Limits and times of one gateway process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default=LOOPBACK,
        min_length=1,
        description="Address to listen on. On anything but loopback every request from elsewhere needs an API key, and "
        "the keys want a proxy in front that speaks TLS.",
    )
    port: int = Field(default=0, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads of the model.")
    max_batch: int = Field(default=32, ge=1, le=1024, description="Questions answered in one forward pass.")
    batch_wait_ms: float = Field(
        default=5.0, ge=0.0, le=1000.0, description="Milliseconds that a first question waits for company."
    )
    max_waiting: int = Field(default=256, ge=1, le=100_000, description="Questions that may wait; one more gets 429.")
    timeout_s: float = Field(default=30.0, gt=0.0, le=3600.0, description="Seconds until a question gets 504.")
    max_body_bytes: int = Field(
        default=1 << 20, ge=1024, le=1 << 30, description="Largest request body in bytes; a larger one gets 413."
    )
    body_timeout_s: float = Field(
        default=10.0, gt=0.0, le=600.0, description="Seconds that a client has to send its body; then it gets 408."
    )
    max_unrecorded: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Answers that may wait to be recorded; one more gets 503."
    )
    record_wait_ms: float = Field(
        default=0.0,
        ge=0.0,
        le=1000.0,
        description="Milliseconds that answers gather before they are recorded together; 0 gives the shortest answers.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names, without ports, under which the gateway may be asked besides those of loopback; others get "
        "403. Listening on more than loopback, it answers to IP addresses too.",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description="Origins of web pages that may ask and read, such as https://labels.example; others get 403.",
    )
    predict_per_minute: int = Field(
        default=60_000,
        ge=0,
        le=10_000_000,
        description="Predictions a minute for each key, or for each address without one; 0 sets no limit.",
    )
    feedback_per_minute: int = Field(
        default=600, ge=0, le=10_000_000, description="Pieces of feedback a minute for each key; 0 sets no limit."
    )
    approve_per_minute: int = Field(
        default=60, ge=0, le=10_000_000, description="Approvals a minute for each key; 0 sets no limit."
    )
    admin_per_minute: int = Field(
        default=600, ge=0, le=10_000_000, description="Other requests a minute for each key; 0 sets no limit."
    )
    wrong_keys_per_minute: int = Field(
        default=60,
        ge=0,
        le=10_000_000,
        description="Wrong keys a minute from each address that get 401; one more gets 429. 0 sets no limit.",
    )
    prune_every_s: float = Field(
        default=3600.0,
        gt=0.0,
        le=86_400.0,
        description="Seconds between looks for records that are older than their task keeps them.",
    )
    poll_s: float = Field(default=0.5, gt=0.0, le=60.0, description="Seconds between looks at the live pointer.")

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError("a host is a name or an address in lower case, without a port, such as models.example")
        return names

    @field_validator("allowed_origins")
    @classmethod
    def _pages(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError("an origin is as a browser writes it, such as https://labels.example, without a path")
        return origins
