"""A model that judges answers by a rubric, within a budget, and never trusted on its own word.

Belongs here: rubrics, the prompt that keeps hostile text apart, the client, cache, budget, the
night's choice of calls. Does not: what the verdicts say about quality (`evals.quality`).
"""
