"""Networks as values, and what is computed with them in integers.

``layers`` and ``network`` say what follows what; ``real`` and ``quantised`` add weights, in floating point and in
integers (the files that hardware, selection and accuracy share); ``requantisation`` is the one rounding; ``inference``
evaluates a network exactly, with any product table in any layer, and ``reference`` says in plain NumPy what that is;
``quantise`` and ``training`` make networks; ``models`` are the known ones. Nothing here knows how a multiplier is
built.
"""
