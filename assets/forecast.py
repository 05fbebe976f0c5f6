"""The group `forecast`."""
