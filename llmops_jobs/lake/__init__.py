"""The lake: facts by project and UTC day, as Delta tables that are replaced a day at a time.

Belongs here: the schemas of the tables, the atomic replacement and reading of one day, the engine
that runs an aggregate over days, retention and compaction. Does not: what the facts mean (that is
`ledger`, `signals`, `evals`) and where they come from (`langfuse`).
"""

from llmops_jobs.lake.lake import Lake

__all__ = ["Lake"]
