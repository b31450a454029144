"""Networks: torchvision's, for coefficients or RGB, and trained RGB networks from files.

torch is not needed to convert or to read; it is imported only inside the functions that use it.
"""
