"""Measurements, as ratios and figures of one run. Run them from the root: ``python -m benchmarks.soak``."""
