"""IR → C → a checked BPF object.

In: the IR of a policy. Out: the C (`emit`), the object that clang makes of it (`clang`), held against everything that such
an object must be (`elf_checks`) before anybody gets to see it.
"""
