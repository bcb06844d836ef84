"""Error cases note which of their corrections can teach nothing, so that these ask for no run.

Revision: 0007. Cases of before note none; the next run of a task notes them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("error_cases", sa.Column("aside_correction_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("error_cases", "aside_correction_id")
