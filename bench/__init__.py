"""Benchmarks: what a user feels, measured with real processes. Ratios within one run, never absolute promises."""
