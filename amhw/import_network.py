"""``python -m amhw.import_network``."""

from amhw.commands.import_network import command

if __name__ == "__main__":
    command(prog_name="amhw import-network")
