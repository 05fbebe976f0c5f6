"""Signals of the service: latency, errors, retries and waste, and the feedback of users.

Belongs here: what can be read off the calls and their scores without judging an answer's content
(that is `evals`).
"""
