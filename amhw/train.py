"""``python -m amhw.train``."""

from amhw.commands.train import command

if __name__ == "__main__":
    command(prog_name="amhw train")
