"""`python -m amhw.synth`."""

from amhw.synth.command import command

if __name__ == "__main__":
    command(prog_name="amhw synth")
