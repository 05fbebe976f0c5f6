"""Nightly jobs over Langfuse data: what last night cost and why, and whether it was good.

The packages follow the data: `langfuse` (read and write the source), `lake` (raw facts by day),
`ledger` (money), `signals` (latency, errors, feedback), `evals` (quality), `forecast` (where the
month is heading), `versions` (which prompt or model is better), `report`, `alerts`; `store` is the
database that they share and `demo` a Langfuse to try it all on. None of them imports Dagster: the
graph is in the top-level package `assets`, and `definitions` is the one module that knows both.
"""

__version__ = "0.1.0"
