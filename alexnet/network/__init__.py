"""The variants, and all that is derived from them: shapes, costs, weights on disk."""
