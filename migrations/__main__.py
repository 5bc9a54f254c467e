"""python -m migrations: see `migrations.command_line`."""

import sys

from migrations import command_line
from shared import private_files, settings

if __name__ == "__main__":
    private_files.restrict(settings.load().home)
    sys.exit(command_line.main())
