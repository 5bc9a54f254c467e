"""Reads one page in a sandboxed process: python -m workers.ingestion.sources.sandboxed_parser, started by sandbox.py.

Parsing what strangers wrote takes native code and, for some pages, time and memory without end; here the kernel
ends it.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from selectolax import lexbor

from workers.ingestion.sources import page_list, page_table, page_text

TOO_MUCH = 4
"""How this process ends when the page takes more than its share."""


def main() -> None:
    """Read the order from standard input and write the page's rows to standard output, a JSON line each."""
    order = json.load(sys.stdin)
    confine(**order["bounds"])
    try:
        found, following = read(order)
        lines = [{"names": found.names, "notes": found.notes, "next": following}, *found.rows]
        sys.stdout.writelines(f"{json.dumps(line)}\n" for line in lines)
        sys.stdout.flush()
    except page_text.PageError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
    except (MemoryError, OSError, lexbor.SelectolaxError):
        os._exit(TOO_MUCH)


def confine(*, memory_bytes: int, cpu_seconds: int, output_bytes: int) -> None:
    """Let the kernel end this process when it takes more than its share."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output_bytes, output_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(order: dict[str, Any]) -> tuple[page_table.Extract, str | None]:
    """Read a page's rows, and the address of the next page."""
    page = page_text.Page(Path(order["path"]).read_bytes(), url=order["url"], charset=order["charset"])
    kind, how = order["kind"], order["how"]
    found = page_table.read(page, **how) if kind == "html_table" else page_list.read(page, **how)
    return found, page.link(order["next_link"]) if order["next_link"] else None


if __name__ == "__main__":
    main()
