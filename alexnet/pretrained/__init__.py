"""The weights that a training can start from: published ones, a run's own, an artifact's."""
