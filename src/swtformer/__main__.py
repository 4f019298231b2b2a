"""Makes `python -m swtformer` the same as the command `swtformer`."""

from __future__ import annotations

import sys

from swtformer.cli import main

if __name__ == "__main__":
    sys.exit(main())
