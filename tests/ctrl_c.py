"""Ctrl-C for a started process: give `listening` as its ``preexec_fn``."""

import signal


def listening() -> None:
    """A shell's background jobs ignore Ctrl-C, and what they start would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
