"""oomlang: a typed language for OOM-kill policies, and its compiler to BPF."""

__version__ = "0.1.0"
