"""Parses web pages and gives their text; run only in the confined process."""

import codecs
import re
import urllib.parse

from selectolax import lexbor

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
META_BYTES = 1024
# What pages call Latin-1 or ASCII is windows-1252 (WHATWG's encoding standard).
WESTERN = {"iso8859-1": "cp1252", "ascii": "cp1252"}
UNSEEN = ["script", "style", "template"]
# Elements that stand apart from what is before them, though there may be no space.
APART = "br, p, div, li, dt, dd, tr, td, th, h1, h2, h3, h4, h5, h6, option"


class PageError(Exception):
    """The page doesn't hold what it is asked for; the message is for the user."""


class Page:
    """A page that was parsed."""

    def __init__(self, data: bytes, *, url: str, charset: str) -> None:
        """Parse a page's bytes; no script runs, and nothing that it refers to is read."""
        self.tree = lexbor.LexborHTMLParser(decode(data, charset=charset))
        base = self.tree.css_first("base[href]")
        self._base = urllib.parse.urljoin(url, (base.attributes.get("href") or "") if base else "")
        self.tree.strip_tags(UNSEEN)
        for node in self.tree.css(APART):
            node.insert_before(" ")

    def select(self, selector: str) -> list[lexbor.LexborNode]:
        """Give the nodes that a selector finds; PageError when it is none."""
        return find(self.tree.root, selector)

    def link(self, selector: str) -> str | None:
        """Give the whole address that the first node of a selector links to."""
        found = self.select(selector)
        href = found[0].attributes.get("href") if found else None
        return None if href is None else self.absolute(href)

    def absolute(self, address: str) -> str:
        """Give a whole address."""
        try:
            return urllib.parse.urljoin(self._base, address.strip())
        except ValueError:
            return address


def find(node: lexbor.LexborNode | None, selector: str) -> list[lexbor.LexborNode]:
    """Give the nodes that a selector finds within a node; PageError when it is no selector."""
    try:
        return node.css(selector) if node is not None else []
    except (lexbor.SelectolaxError, ValueError) as error:
        raise PageError(f"{selector!r} is no CSS selector that can be read.") from error


def text_of(node: lexbor.LexborNode) -> str:
    """Give what a node says, with single spaces."""
    return " ".join(node.text(deep=True).split())


def decode(data: bytes, *, charset: str) -> str:
    """Decode a page by its mark, by what the server says, by what the page says, else as UTF-8 or windows-1252."""
    for mark, name in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    said = META_CHARSET.search(data[:META_BYTES])
    for declared in (charset, said.group(1).decode() if said else ""):
        try:
            name = codecs.lookup(declared).name
            return data.decode(WESTERN.get(name, name), errors="replace")
        except (LookupError, ValueError):
            continue
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
