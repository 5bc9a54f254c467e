"""python -m tests.system.worker <role> [<role> …]: a worker that does the tests' acts.

It leaves the roles' own jobs out, whose libraries take seconds to load, unless MILLRACE_TEST_OWN_JOBS is set.
"""

import functools
import os
import sys

from shared import celery_app
from tests.system import acts
from workers import __main__ as workers

if __name__ == "__main__":
    if not os.environ.get("MILLRACE_TEST_OWN_JOBS"):
        celery_app.create_celery = functools.partial(celery_app.create_celery, with_tasks=False)
    acts.register(sys.argv[1:])
    workers.main()
