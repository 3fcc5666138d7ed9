"""The optional accelerator: planned programs as arrays of instructions, run by kernels that numba compiles once.

`code` turns a program into arrays, `kernels` are the compiled functions, and `accelerator` runs the one on the other.
The NumPy path is the reference, and runs what this one does not take.
"""
