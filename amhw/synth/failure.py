"""What goes wrong in the tools, apart from what is wrong with the design."""


class SynthesisError(RuntimeError):
    """Yosys or ABC crashed, hung or contradicted itself; only this design is concerned."""
