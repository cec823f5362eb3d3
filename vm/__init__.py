"""The test kernel and the virtual machine that runs it: host side. Nothing here ships with oomlang."""
