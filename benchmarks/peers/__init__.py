"""One piece of work, and how qstore and each other library does it; `peers_speed.py` has them compared.

Each module has a function `contenders(work)` that gives the ways of one library, each used as its documentation
recommends for speed. All of them see the same circuits.
"""
