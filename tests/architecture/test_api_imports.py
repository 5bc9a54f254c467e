"""The API's process loads no library of the workers: import-linter can't see what kinds of job are found by name."""

import subprocess
import sys

HEAVY = {"numpy", "pandas", "sklearn", "scipy", "shared.ml", "workers"}


def test_the_api_with_all_its_kinds_loads_nothing_heavy() -> None:
    code = f"import sys, api.app; from shared import kinds; kinds.by_name(); print({HEAVY} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
