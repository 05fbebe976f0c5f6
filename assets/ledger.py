"""The group `ledger`."""
