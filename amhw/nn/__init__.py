"""Training through a multiplier: torch layers that compute on a product table, fine-tuning, prediction.

``approximate`` swaps the layers of any torch model, ``fine_tune`` trains a network through its
multipliers, ``export`` gives the integers that hardware takes.
"""

from amhw.nn.finetune import TrainingRecipe, fine_tune
from amhw.nn.layers import ApproxConv2d, ApproxLinear
from amhw.nn.swap import approximate, export

__all__ = ["ApproxConv2d", "ApproxLinear", "TrainingRecipe", "approximate", "export", "fine_tune"]
