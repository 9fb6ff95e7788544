"""``python -m amhw.export_network``."""

from amhw.commands.export_network import command

if __name__ == "__main__":
    command(prog_name="amhw export-network")
