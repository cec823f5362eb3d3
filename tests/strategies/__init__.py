"""Hypothesis strategies: policies (`policies`), their test blocks (`blocks`), other layouts of a text (`layouts`)."""
