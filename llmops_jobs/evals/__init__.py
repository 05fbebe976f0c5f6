"""Quality of the answers: scorers, sampling, the judge, and the estimate anchored on people.

Belongs here: everything that reads the text of calls, and the statistics of those readings.
"""
