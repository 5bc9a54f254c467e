"""python -m tests.system.worker <role> [<role> …]: a worker that does the tests' acts.

It leaves the roles' own jobs out, whose libraries take seconds to load, unless MILLRACE_TEST_OWN_JOBS is set.
"""

import os
import sys

from tests.system import acts
from workers import __main__ as main
from workers import app

if __name__ == "__main__":
    if not os.environ.get("MILLRACE_TEST_OWN_JOBS"):
        vars(app)["register"] = acts.register_ping
    acts.register(sys.argv[1:])
    main.main()
