"""`python -m amhw.synth`."""

from amhw.commands.synth import command

if __name__ == "__main__":
    command(prog_name="amhw synth")
