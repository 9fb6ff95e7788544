"""``python -m amhw.fpga``."""

from amhw.commands.fpga import command

if __name__ == "__main__":
    command(prog_name="amhw fpga")
