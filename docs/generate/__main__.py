"""Write every page that is made from the code alone, in seconds.

What comes from a sandbox or a browser has a module of its own: `python -m docs.generate.<name>`.
"""

from __future__ import annotations

import runpy

if __name__ == "__main__":
    for name in ("events", "pages", "reference", "schemas", "sentences"):
        runpy.run_module(f"docs.generate.{name}", run_name="__main__")
