"""What can be asked of each view of GET /v2/metrics, as SQL over the columns of `columns.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimension:
    sql: str
    fill: str | None = None  # what a gap-filled row shows; None where empty means null
    high_cardinality: bool = False
    explode: bool = False  # one row per element


@dataclass(frozen=True)
class Measure:
    sql: str
    fill: float | None = 0  # what a gap-filled row shows
    numeric: bool = True
    needs: str = ""  # a dimension that must be there for it to mean anything


@dataclass(frozen=True)
class View:
    table: str
    time: str
    dimensions: dict[str, Dimension]
    measures: dict[str, Measure]
    where: str = "TRUE"


def _entity(column: str) -> Dimension:
    return Dimension(f"nullif({column}, '')", high_cardinality=True)


def _name(column: str) -> Dimension:
    return Dimension(f"nullif({column}, '')")


OBSERVATIONS = View(
    "observations",
    "startTime",
    {
        "id": Dimension("id", "", high_cardinality=True),
        "traceId": Dimension("traceId", "", high_cardinality=True),
        "environment": _name("environment"),
        "parentObservationId": _entity("parentObservationId"),
        "isRootObservation": Dimension("isRootObservation"),
        "type": Dimension("type", ""),
        "name": Dimension("name", ""),
        "level": Dimension("level", ""),
        "version": _name("version"),
        "userId": _entity("userId"),
        "sessionId": _entity("sessionId"),
        "tags": Dimension("tags"),
        "release": _name("release"),
        "traceName": _name("traceName"),
        "traceRelease": _name("release"),
        "traceVersion": _name("version"),
        "providedModelName": _name("model"),
        "promptName": _name("promptName"),
        "promptVersion": Dimension("promptVersion"),
        "startTimeMonth": Dimension("strftime(make_timestamp(startTime * 1000), '%Y-%m')", ""),
        "costType": Dimension("unnest(map_keys(costDetails))", "", explode=True),
        "usageType": Dimension("unnest(map_keys(usageDetails))", "", explode=True),
    },
    {
        "count": Measure("1"),
        "traceId": Measure("traceId", numeric=False),
        "uniqueUserIds": Measure("nullif(userId, '')", numeric=False),
        "uniqueSessionIds": Measure("nullif(sessionId, '')", numeric=False),
        "latency": Measure("(endTime - startTime)", None),
        "streamingLatency": Measure("(endTime - completionStartTime)", None),
        "inputTokens": Measure("inputTokens"),
        "outputTokens": Measure("outputTokens"),
        "totalTokens": Measure("totalTokens"),
        "outputTokensPerSecond": Measure(
            "outputTokens / nullif((endTime - completionStartTime) // 1000, 0)", None
        ),
        "tokensPerSecond": Measure("totalTokens / nullif((endTime - startTime) // 1000, 0)", None),
        "inputCost": Measure("inputCost"),
        "outputCost": Measure("outputCost"),
        "totalCost": Measure("totalCost", None),
        "timeToFirstToken": Measure("(completionStartTime - startTime)", None),
        "countScores": Measure(
            "(SELECT count(DISTINCT s.id) FROM scores s WHERE s.traceId = observations.traceId"
            " AND (s.observationId = observations.id OR s.observationId = ''))"
        ),
        "toolDefinitions": Measure("toolDefinitions", None),
        "toolCalls": Measure("toolCalls", None),
        "costByType": Measure("costDetails[costType]", needs="costType"),
        "usageByType": Measure("usageDetails[usageType]", needs="usageType"),
    },
)

_SCORE_DIMENSIONS = {
    "id": Dimension("id", "", high_cardinality=True),
    "environment": Dimension("environment", ""),
    "name": Dimension("name", ""),
    "source": Dimension("source", ""),
    "dataType": Dimension("dataType", ""),
    "traceId": _entity("traceId"),
    "configId": Dimension("configId"),
    "timestampMonth": Dimension("strftime(make_timestamp(timestamp * 1000), '%Y-%m')", ""),
    "timestampDay": Dimension("strftime(make_timestamp(timestamp * 1000), '%Y-%m-%d')", ""),
    "observationId": _entity("observationId"),
    "sessionId": _entity("sessionId"),
    "runId": _entity("runId"),
}
_COUNT = {"count": Measure("1")}
_VALUE = {**_COUNT, "value": Measure("value")}

VIEWS = {
    "observations": OBSERVATIONS,
    "scores-numeric": View(
        "scores",
        "timestamp",
        {**_SCORE_DIMENSIONS, "value": Dimension("value")},
        _VALUE,
        "dataType IN ('NUMERIC', 'BOOLEAN')",
    ),
    "scores-categorical": View(
        "scores",
        "timestamp",
        {**_SCORE_DIMENSIONS, "stringValue": Dimension("stringValue")},
        _COUNT,
        "dataType = 'CATEGORICAL'",
    ),
    "scores-boolean": View(
        "scores",
        "timestamp",
        {**_SCORE_DIMENSIONS, "booleanValue": Dimension("value = 1")},
        _VALUE,
        "dataType = 'BOOLEAN'",
    ),
}
AGGREGATIONS = (
    "sum", "avg", "count", "max", "min", "p50", "p75", "p90", "p95", "p99", "histogram", "uniq",
)  # fmt: skip
GRANULARITIES = (
    "auto", "minute", "hour", "day", "week", "month",
    "5m", "10m", "15m", "30m", "1h", "2h", "4h", "1d", "2d", "1w",
)  # fmt: skip
