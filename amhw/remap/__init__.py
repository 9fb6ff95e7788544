"""Which weight codes, biases and constants go with a given multiplier, without training.

``teacher`` holds what a network should compute; ``reconstruction`` chooses the weight codes of one layer for a product
table; ``fit`` makes the whole network for it.
"""
