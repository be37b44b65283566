"""Benchmarks: training against other loops, inference against PyTorch: `make bench`."""
