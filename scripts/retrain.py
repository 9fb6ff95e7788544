"""Retrain the shipped network, about four minutes on two cores: python scripts/retrain.py [--data DATA]

Training is repeatable with the same torch and thread count; elsewhere the last bits, and so the file's hash,
may differ.
"""

import sys
from pathlib import Path

from amhw.commands.train import command

packaged = Path(__file__).parents[1] / "amhw" / "network" / "models"
command(["--epochs", "60", "--seed", "0", "--out", str(packaged / "lenet5.npz"), *sys.argv[1:]], "amhw train")
