"""Faults, to be filled in."""

from __future__ import annotations


class Faults:
    """No faults yet."""
