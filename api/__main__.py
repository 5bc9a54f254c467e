"""python -m api: serves the API, and manages its keys."""

import sys

from api import cli
from shared import private_files, settings

if __name__ == "__main__":
    private_files.restrict(settings.load().home)
    sys.exit(cli.main())
