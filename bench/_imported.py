"""Imports everything when it is imported: what `bench.warm` forks from."""

from bench.warm import import_all

import_all()
