"""``python -m amhw.report``."""

from amhw.commands.report import command

command(prog_name="amhw report")
