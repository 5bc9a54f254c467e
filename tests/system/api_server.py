"""python -m tests.system.api_server serve: the API, served as always, of an application that knows the tests' acts."""

import sys

import granian

from api import cli, server

if __name__ == "__main__":
    vars(server)["Granian"] = lambda _target, **options: granian.Granian("tests.system.wsgi:app", **options)
    sys.exit(cli.main(sys.argv[1:]))
