"""python -m tests.system.api_server serve: the API, served as always, of an application that knows the tests' acts."""

import sys

from api import cli, server

if __name__ == "__main__":
    server.TARGET = "tests.system.rsgi:front"
    sys.exit(cli.main(sys.argv[1:]))
