"""Measurements, as ratios and figures of one run. Run them from the root.

All of them: ``python -m benchmarks``; one of them: ``python -m benchmarks.bench_calls``.
"""
