"""The columns of the FOCUS export and the names of its meters.

Names and types are those of FOCUS 1.3's cost and usage data set; what it deprecates
(`ProviderName`, `PublisherName`) is left out, what begins with `x_` is ours.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

VERSION: Final = "1.3"

_MONEY = pa.decimal128(30, 12)
_AMOUNT = pa.decimal128(30, 6)
_TEXT = pa.string()
_TIME = pa.timestamp("s", tz="UTC")
SCHEMA: Final = pa.schema(
    [
        pa.field("BilledCost", _MONEY, False),
        pa.field("BillingAccountId", _TEXT, False),
        pa.field("BillingAccountName", _TEXT),
        pa.field("BillingCurrency", _TEXT, False),
        pa.field("BillingPeriodEnd", _TIME, False),
        pa.field("BillingPeriodStart", _TIME, False),
        pa.field("ChargeCategory", _TEXT, False),
        pa.field("ChargeClass", _TEXT),
        pa.field("ChargeDescription", _TEXT),
        pa.field("ChargeFrequency", _TEXT, False),
        pa.field("ChargePeriodEnd", _TIME, False),
        pa.field("ChargePeriodStart", _TIME, False),
        pa.field("ConsumedQuantity", _AMOUNT),
        pa.field("ConsumedUnit", _TEXT),
        pa.field("ContractedCost", _MONEY, False),
        pa.field("ContractedUnitPrice", _MONEY),
        pa.field("EffectiveCost", _MONEY, False),
        pa.field("HostProviderName", _TEXT),
        pa.field("InvoiceId", _TEXT),
        pa.field("InvoiceIssuerName", _TEXT, False),
        pa.field("ListCost", _MONEY, False),
        pa.field("ListUnitPrice", _MONEY),
        pa.field("PricingCategory", _TEXT),
        pa.field("PricingCurrency", _TEXT),
        pa.field("PricingQuantity", _AMOUNT),
        pa.field("PricingUnit", _TEXT),
        pa.field("ServiceCategory", _TEXT, False),
        pa.field("ServiceName", _TEXT, False),
        pa.field("ServiceProviderName", _TEXT, False),
        pa.field("ServiceSubcategory", _TEXT, False),
        pa.field("SkuId", _TEXT),
        pa.field("SkuMeter", _TEXT),
        pa.field("SkuPriceDetails", _TEXT),
        pa.field("SkuPriceId", _TEXT),
        pa.field("SubAccountId", _TEXT),
        pa.field("SubAccountName", _TEXT),
        pa.field("Tags", _TEXT),
        pa.field("x_Model", _TEXT),
        pa.field("x_Tenant", _TEXT),
        pa.field("x_Environment", _TEXT),
        pa.field("x_Feature", _TEXT),
        pa.field("x_PromptName", _TEXT),
        pa.field("x_PromptVersion", _TEXT),
        pa.field("x_IsEvaluation", pa.bool_()),
        pa.field("x_PriceStatus", _TEXT),
        pa.field("x_PriceId", _TEXT),
        pa.field("x_PriceBookHash", _TEXT),
        pa.field("x_ConsumedTokens", pa.int64()),
        pa.field("x_Requests", pa.int64()),
        pa.field("x_SuccessfulRequests", pa.int64()),
    ],
    metadata={"focus_version": VERSION, "focus_dataset": "Cost and Usage"},
)

METER: Final = {
    "input": "Input Tokens",
    "cache_read": "Cached Input Tokens",
    "cache_write": "Cache Write Tokens",
    "cache_write_1h": "Cache Write Tokens, 1 Hour",
    "input_audio": "Audio Input Tokens",
    "input_image": "Image Input Tokens",
    "input_video": "Video Input Tokens",
    "output": "Output Tokens",
    "reasoning": "Reasoning Tokens",
    "output_audio": "Audio Output Tokens",
    "output_image": "Image Output Tokens",
    "output_video": "Video Output Tokens",
    "request": "Requests",
    "web_search": "Web Searches",
    "social_search": "Social Searches",
    "storage_search": "Storage Searches",
    "code_execution": "Code Executions",
    "rerank": "Rerank Searches",
    "audio_second": "Audio Seconds",
    "character": "Characters",
    "page": "Pages",
}
UNIT: Final = {"audio_second": "Seconds", "character": "Characters", "page": "Pages"}
