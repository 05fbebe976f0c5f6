"""Alembic's environment: it gets the open connection from `llmops_jobs.store.migrate`."""

from __future__ import annotations

from alembic import context

from llmops_jobs.store.tables import METADATA
from llmops_jobs.store.tables.views import is_compared

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    include_object=is_compared,
    # Our column types are written as the template imports them.
    user_module_prefix="columns.",
    # SQLite cannot alter a column in place: Alembic then copies the table.
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
