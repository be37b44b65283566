"""Data sets: download, verify, decode and split one, and read it back by memory map."""
