"""`python -m cascade` is the program `cascade`."""

from __future__ import annotations

import sys

from cascade.cli.main import main

sys.exit(main())
