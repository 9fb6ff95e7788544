"""Cascades: a cheap network answers, and a better one is asked where the cheap one is in doubt."""
