"""Whether a kernel has all that an object needs, from the two files alone: `compile --kernel`."""
