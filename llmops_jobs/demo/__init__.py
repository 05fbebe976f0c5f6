"""A Langfuse to try it all on: a stand-in server, and traffic replayed from real measurements."""
