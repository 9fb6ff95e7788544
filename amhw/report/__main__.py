"""``python -m amhw.report``."""

from amhw.report.command import command

command(prog_name="amhw report")
