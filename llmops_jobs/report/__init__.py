"""The report: one typed model, and faces (HTML, Markdown, JSON, digest) that only render it.

Belongs here: choosing and wording what people see. Does not: statistics; the model reads marts.
"""
