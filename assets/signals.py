"""The group `signals`."""
