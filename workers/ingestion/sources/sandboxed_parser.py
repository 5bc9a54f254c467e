"""Reads one page in a sandboxed process: python -m workers.ingestion.sources.sandboxed_parser, started by sandbox.py.

Parsing pages that anybody may have written runs native code and, for some pages, would take unlimited time and memory;
here the kernel limits both.

docs/decisions/ingestion.md, "Pages are parsed in a process of their own, with the kernel's limits"
"""

import errno
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from selectolax import lexbor

from workers.ingestion.sources import exit_codes, page_list, page_table, page_text


def main() -> None:
    """Read the instructions from standard input, and write the page's rows to standard output, a JSON line each."""
    instructions = json.load(sys.stdin)
    set_limits(**instructions["bounds"])
    try:
        extract, next_url = read(instructions)
        lines = [{"names": extract.names, "notes": extract.notes, "next_url": next_url}, *extract.rows]
        sys.stdout.writelines(f"{json.dumps(line)}\n" for line in lines)
        sys.stdout.flush()
    except page_text.PageError as error:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        os._exit(exit_codes.DISK_FULL if is_full else exit_codes.LIMIT_EXCEEDED)
    except (MemoryError, lexbor.SelectolaxError):
        os._exit(exit_codes.LIMIT_EXCEEDED)


def set_limits(*, memory_bytes: int, cpu_seconds: int, output_bytes: int) -> None:
    """Let the kernel end this process when it exceeds its limits."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (output_bytes, output_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(instructions: dict[str, Any]) -> tuple[page_table.Extract, str | None]:
    """Read a page's rows, and the URL of the next page."""
    page = page_text.Page(
        Path(instructions["path"]).read_bytes(), url=instructions["url"], charset=instructions["charset"]
    )
    source_type, options = instructions["source_type"], instructions["options"]
    extract = page_table.read(page, **options) if source_type == "html_table" else page_list.read(page, **options)
    return extract, page.find_link(instructions["next_link"]) if instructions["next_link"] else None


if __name__ == "__main__":
    main()
