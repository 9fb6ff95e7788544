"""Write the packaged data from the four MNIST IDX files: python scripts/package_data.py FOLDER"""

import sys
from pathlib import Path

from amhw.datasets.mnist import balanced, test_set, training_set, write_idx
from amhw.files import write_atomically

packaged = Path(__file__).parents[1] / "amhw" / "datasets" / "packaged"
for prefix, data in (("t10k", test_set(sys.argv[1])), ("train", balanced(training_set(sys.argv[1])))):
    write_atomically(packaged / f"{prefix}-images-idx3-ubyte.gz", write_idx(data.images))
    write_atomically(packaged / f"{prefix}-labels-idx1-ubyte.gz", write_idx(data.labels))
