"""Choose what a multiplier can do without, from what the network really multiplies.

``statistics`` scores any mask by a closed form; ``teacher`` holds what a network should compute; ``remap`` chooses
weight codes for a given product table; ``fit`` makes the whole network for it; ``space``, ``cost`` and ``search``
propose multipliers; ``front`` builds, verifies and scores the survivors.
"""
