"""A learned quality model: what people would say of an answer, predicted for every row.

Belongs here: features of a call, training with time-ordered validation, calibration, the refusal
of a model that is no better than chance, its storage. Does not: the estimate (`evals.quality`).
"""
