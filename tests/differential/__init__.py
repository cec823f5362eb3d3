"""Several readers of one policy, held against each other."""
