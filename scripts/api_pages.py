"""The API as HTML pages, from the docstrings: python scripts/api_pages.py [FOLDER]

Every module is named to pdoc: of a package with ``__all__`` it would show no others, of one without it shows all.
"""

import sys
import warnings
from pathlib import Path

import pdoc

ROOT = Path(__file__).parents[1]
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "api"
files = [path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / "amhw").rglob("*.py"))]
modules = [".".join(file.parts).removesuffix(".__init__") for file in files if file.name != "__main__"]
# Those of packages without ``__all__`` are named twice.
warnings.filterwarnings("ignore", message="The module specification")
pdoc.render.configure(docformat="google", math=False, footer_text="amhw")
pdoc.pdoc(*modules, output_directory=folder)
print(folder / "index.html")
