"""The group `alerts`."""
