"""The group `report`."""
