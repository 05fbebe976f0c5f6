"""The database that holds the daily marts, forecasts, incidents and reports.

Belongs here: the tables (SQLAlchemy Core, no ORM), their migrations, and the few ways in which
they are written: replace a window, insert or update by key. Does not: any computation.
"""

from llmops_jobs.store.database import Database

__all__ = ["Database"]
