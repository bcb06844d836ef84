"""The gateway's settings. Every one has a default that fits one machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

LOOPBACK = "127.0.0.1"


class GatewaySettings(BaseModel):
    """Limits and times of one gateway process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default=LOOPBACK,
        min_length=1,
        description="Address to listen on. The gateway knows no users: anything but loopback belongs behind a proxy "
        "that does.",
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
    poll_s: float = Field(default=0.5, gt=0.0, le=60.0, description="Seconds between looks at the live pointer.")
