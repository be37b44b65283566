"""The command-line tools: `alexnet summary`, `diagram`, `report`, `predict`, `verify`."""
