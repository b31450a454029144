"""Networks: torchvision wherever it is installed, and trained RGB networks read from files.

torch is not needed to convert or to read; it is imported only inside the functions that use it.
"""
