"""Money: the dated price book, the cost of every call, the audit, and why spend changed.

Belongs here: tokens times prices and everything derived from that. Does not: forecasts of it.
"""
