"""The kernel interface, tested without the compiler."""
