"""Ids of traces and observations may be longer than 64 characters: applications choose them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("score", "human_label", "judge_canary", "label_pick")


def upgrade() -> None:
    _lengthen(255)


def downgrade() -> None:
    _lengthen(64)


def _lengthen(length: int) -> None:
    for table in _TABLES:
        with op.batch_alter_table(table) as change:
            for column in ("trace_id", "observation_id"):
                change.alter_column(
                    column, type_=sa.String(length), existing_type=sa.String(), nullable=False
                )
