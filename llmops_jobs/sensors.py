"""The sensors. They decide nothing: what is due was recorded in the database by an asset."""

from __future__ import annotations

import dagster as dg

SENSORS: list[dg.SensorDefinition] = []
