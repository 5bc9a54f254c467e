"""python -m migrations: see `migrations.command_line`."""

import sys

from migrations import command_line

if __name__ == "__main__":
    sys.exit(command_line.main())
