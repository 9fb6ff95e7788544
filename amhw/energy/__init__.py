"""Energy of a design under a stimulus; `amhw.synth.energy` says how the energy of a netlist is counted."""
