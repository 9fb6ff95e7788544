"""What faults in a network's memories and multipliers cost, and what it costs to survive them.

``models`` and ``memories`` say what a fault is and where; ``brute`` classifies every image anew for every fault;
``incremental`` computes only what a fault changes, to the same bits; ``campaign`` does it for all faults, ``sampled``
for some. docs/faults.md has the definitions and the denominators.
"""
