"""The release gate: does a candidate hold against a baseline, item by item?

Three answers: pass, fail, and *inconclusive* with the number of items that would decide. What is
not comparable (other items, NaN, an experiment still running) is not a regression: it could not
run, and says why.
"""
