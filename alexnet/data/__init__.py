"""Data sets: fetch one, check it, decode it once, and read it back without copying."""
