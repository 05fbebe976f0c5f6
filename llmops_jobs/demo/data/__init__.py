"""Numbers measured on real traffic, for the demo's replay. `derive.py` says how each was made."""
