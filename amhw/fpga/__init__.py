"""A whole network on an FPGA: the engine behind a serial line, placed, routed and packed; see docs/fpga.md."""
