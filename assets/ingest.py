"""The group `ingest`."""
