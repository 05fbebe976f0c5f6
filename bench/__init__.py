"""Benchmarks: every figure is a ratio to a floor or a rival measured in the same run."""
