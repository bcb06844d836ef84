"""The table of API keys. Every change here needs a migration."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from finetune_assets.storage.model_base import Base


class ApiKeyRow(Base):
    """A key to the gateway; of its secret only the SHA-256 is here. Rows stay, so that old evidence has its name."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index(None, "name"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_by = '')", name="revoked_by_somebody"),
    )

    key_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    roles: Mapped[list[Any]] = mapped_column(JSON)
    secret_digest: Mapped[str]
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str]
    replaces: Mapped[str]
    last_used_at: Mapped[datetime | None]
