"""`python -m shopkit` is `shopkit`."""

import sys

from shopkit.cli import main

sys.exit(main())
