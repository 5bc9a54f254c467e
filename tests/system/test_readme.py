"""README word for word: what it lets a stranger paste into a shell works, from the first line to the last."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests import system_under_test
from tests.system_under_test import CHECKOUT

pytestmark = pytest.mark.judge

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = _BLOCK.findall((CHECKOUT / "README.md").read_text())
# What a request answers that was refused, or whose job has come to nothing.
_REFUSED = re.compile(r'"status":[45]\d\d|"state":"(failed|dead|cancelled)"')
PASTED_SECONDS = 240


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[system_under_test.System]:
    """Yield the whole system, as `make up` starts it."""
    with system_under_test.System(tmp_path_factory.mktemp("readme")) as system:
        system.prepare()
        system.make_service_key()
        system.start(["api", "sweeper", "inference", *system_under_test.ROLES])
        yield system


def pasted(system: system_under_test.System) -> str:
    """Put together the blocks that go on from one another; they begin where the key is made."""
    first = next(place for place, block in enumerate(BLOCKS) if block.startswith("KEY="))
    # The query of a database that a reader has to name first stands in a block of its own.
    blocks = [block for block in BLOCKS[first : first + 3] if '"warehouse"' not in block]
    assert len(blocks) == 2, "README's blocks stand in another order"
    text = "".join(blocks).replace("http://127.0.0.1:8400", system.url)
    return text.replace("http://127.0.0.1:8401", system.inference_url)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
def test_what_readme_lets_one_paste_works(system: system_under_test.System, tmp_path: pathlib.Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = tmp_path / "pasted.sh"
    script.write_text(pasted(system))
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", script.name],
        cwd=tmp_path,
        env={**system.env, "PYTHONPATH": f"{CHECKOUT}"},
        capture_output=True,
        text=True,
        timeout=PASTED_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    refused = _REFUSED.search(ran.stdout)
    assert refused is None, ran.stdout[max(0, refused.start() - 500) : refused.end() + 1000] if refused else ""
    assert (tmp_path / "tumours.onnx").stat().st_size > 1000
    jobs: list[dict[str, Any]] = system.client.get("/v1/jobs", params={"limit": 200}).json()["jobs"]
    assert {job["state"] for job in jobs} <= {"succeeded", "queued", "running"}, json.dumps(jobs)[:4000]
