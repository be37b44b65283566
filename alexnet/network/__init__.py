"""The three variants and what is told of them: shapes, costs, weights."""
