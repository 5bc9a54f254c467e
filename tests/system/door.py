"""python -m tests.system.door serve: the API, served as always, of an application that knows the tests' acts."""

import sys

from api import cli, server

if __name__ == "__main__":
    serve = server.Granian
    server.Granian = lambda _target, **options: serve("tests.system.wsgi:app", **options)  # type: ignore[assignment,misc]
    sys.exit(cli.main(sys.argv[1:]))
