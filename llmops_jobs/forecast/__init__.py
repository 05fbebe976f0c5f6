"""Where spend is heading: forecasts with intervals, budgets, anomalies, and the score-card.

Everything here is *as of* a day and sees nothing later, so that a backfill reproduces it.
"""
