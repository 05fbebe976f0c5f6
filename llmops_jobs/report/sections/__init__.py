"""What the report says, one module per topic.

Each module has `section(edition)` or several of them, and where its topic can demand attention
`findings(edition)` and `decisions(edition)`. A topic without data says so in one sentence.
"""
