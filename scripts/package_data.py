"""Write the packaged data from the four MNIST IDX files: python scripts/package_data.py FOLDER"""

import sys
from pathlib import Path

from amhw.datasets import data_source
from amhw.datasets.idx import write_idx
from amhw.files import write_atomically

packaged = Path(__file__).parents[1] / "amhw" / "datasets" / "packaged"
source = data_source(sys.argv[1])
for prefix, data in (("t10k", source.test), ("train", source.calibration)):
    write_atomically(packaged / f"{prefix}-images-idx3-ubyte.gz", write_idx(data.images[:, 0]))
    write_atomically(packaged / f"{prefix}-labels-idx1-ubyte.gz", write_idx(data.labels))
