"""python -m api: serves the API, and manages its keys."""

import sys

from api import cli

if __name__ == "__main__":
    sys.exit(cli.main())
