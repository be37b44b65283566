"""Benchmarks: training against a tutorial's loop, inference against PyTorch: `make bench`."""
