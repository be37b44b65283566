"""The tools for people: `alexnet summary`, `diagram`, `report`, `predict`, `verify`."""
