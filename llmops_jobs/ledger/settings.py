"""Configuration of the price book."""

from __future__ import annotations

from pydantic import Field

from llmops_jobs.settings import FilePath, Section


class BillColumns(Section):
    """Names of the columns in a provider's bill; those left out are recognised."""

    day: str | None = None
    model: str | None = None
    cost: str | None = None
    currency: str | None = None


class Bill(Section):
    """A provider's bill as CSV, compared with the ledger every night."""

    path: FilePath
    name: str = ""
    provider: str = Field("", description="compare with the spend of this provider only")
    columns: BillColumns = BillColumns()


class LedgerSettings(Section):
    price_file: FilePath | None = None  # own prices, laid over the bundled book
    bills: tuple[Bill, ...] = ()
    top_spenders: int = Field(20, ge=1, description="rows kept per day and kind")
    change_scopes: int = Field(
        200, ge=1, description="features and tenants (each) whose change of spend is explained"
    )
    tolerance: float = Field(
        0.001, ge=0, description="relative difference from a reported cost that counts as agreement"
    )
