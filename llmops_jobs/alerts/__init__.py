"""From marts to messages: rules, incidents, the outbox and its delivery.

Belongs here: deciding what is an incident, recording it, and getting it to people exactly as often
as it should. Does not: the statistics behind a rule; rules read marts.
"""
