"""Langfuse as a source: the client, the row schema, the pull, and scores written back.

Belongs here: everything that knows Langfuse's (or its export's, or OTLP's) formats. Does not: what
the rows mean for money or quality; nothing outside this package names a Langfuse field.
"""
