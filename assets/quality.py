"""The group `quality`."""
