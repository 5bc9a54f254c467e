"""The processes of one machine: the lines of the Procfile, each run in a process that was forked, not started anew."""

import dataclasses
import pathlib
import re
import runpy
import sys
from collections.abc import Mapping

from deploy import forking

_PROCFILE = pathlib.Path(__file__).parent.parent / "Procfile"
_LINE = re.compile(r"(?P<name>[a-z]+): exec \$PYTHON -m (?P<module>[a-z_.]+)(?P<arguments>( [a-z_]+)*)")


@dataclasses.dataclass(frozen=True)
class Program:
    """A module that runs as `python -m` would run it."""

    name: str
    """As in the Procfile; with a number where it runs more than once: training.2."""
    module: str
    arguments: tuple[str, ...]

    @property
    def title(self) -> str:
        """What `ps` shows."""
        return " ".join(("python -m", self.module, *self.arguments))

    def run(self) -> None:
        """Run it in this process."""
        forking.set_title(self.title)
        sys.argv = [self.module, *self.arguments]
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)


def read(*, scale: Mapping[str, int]) -> dict[str, list[Program]]:
    """Read the Procfile: the programs by its names, in its order; ValueError for a line that is no `python -m`."""
    programs = {}
    for line in filter(None, _PROCFILE.read_text().splitlines()):
        fields = _LINE.fullmatch(line)
        if fields is None:
            raise ValueError(f"the Procfile's line {line!r} isn't `name: exec $PYTHON -m module arguments`")
        name, count = fields["name"], scale.get(fields["name"], 1)
        programs[name] = [
            Program(name if count == 1 else f"{name}.{number}", fields["module"], tuple(fields["arguments"].split()))
            for number in range(1, count + 1)
        ]
    return programs
