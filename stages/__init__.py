"""The pipeline's commands. Each reads params.yaml, calls the library, writes its files."""
