"""Agreement with people: how many failures they saw, and intervals of both shares.

Null for days that were computed before; a run of `quality_daily` fills them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ENDS = ("sensitivity_low", "sensitivity_high", "specificity_low", "specificity_high")


def upgrade() -> None:
    with op.batch_alter_table("judge_agreement") as change:
        failures = "of them failures, as people say"
        change.add_column(sa.Column("failures", sa.BigInteger(), comment=failures))
        for name in _ENDS:
            end = "lower" if name.endswith("_low") else "upper"
            comment = f"{end} end of its 95 % interval"
            change.add_column(sa.Column(name, sa.Double(), comment=comment))


def downgrade() -> None:
    with op.batch_alter_table("judge_agreement") as change:
        for name in (*_ENDS, "failures"):
            change.drop_column(name)
