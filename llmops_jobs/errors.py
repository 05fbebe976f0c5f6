"""The one exception that is the user's to act on.

Its text names the thing, the place and what to do; the command line prints it without a stack
trace and exits 1, and Dagster shows it as the failure's description.
"""

from __future__ import annotations


class UserError(Exception):
    """Something outside the program must be changed; the message says what."""


class ConfigError(UserError):
    """The configuration file or an environment variable is wrong."""


class SourceError(UserError):
    """Langfuse (or an export of it) could not be read or written."""
