"""The group `versions`."""
