"""python -m migrations: see `migrations.command_line`."""

import sys

from migrations import command_line

sys.exit(command_line.main())
