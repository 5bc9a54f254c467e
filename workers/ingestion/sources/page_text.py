"""Parses web pages and extracts their text; runs only in the sandboxed process."""

import codecs
import re
import urllib.parse

from selectolax import lexbor

from workers.ingestion.sources import page_visibility

BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
META_BYTES = 1024
# Pages that declare Latin-1 or ASCII are decoded as windows-1252 (WHATWG's encoding standard).
WESTERN_CODECS = {"iso8859-1": "cp1252", "ascii": "cp1252"}
INVISIBLE_TAGS = ["script", "style", "template"]
# Elements whose text is separate from the text before them, even without a space.
SEPARATE_ELEMENTS = "br, p, div, li, dt, dd, tr, td, th, h1, h2, h3, h4, h5, h6, option"


class PageError(Exception):
    """The page doesn't hold what the source asks for; the message is for the user."""


class Page:
    """A parsed page."""

    def __init__(self, data: bytes, *, url: str, charset: str) -> None:
        """Parse a page's bytes; no script runs, and no resource of the page is fetched."""
        self.tree = lexbor.LexborHTMLParser(decode(data, charset=charset))
        base = self.tree.css_first("base[href]")
        self._base = urllib.parse.urljoin(url, (base.attributes.get("href") or "") if base else "")
        page_visibility.mark_hidden(self.tree)
        self.tree.strip_tags(INVISIBLE_TAGS)
        for node in self.tree.css(SEPARATE_ELEMENTS):
            node.insert_before(" ")

    def select(self, selector: str) -> list[lexbor.LexborNode]:
        """Find the nodes that a selector matches; PageError when it is not a valid selector."""
        return find(self.tree.root, selector)

    def find_link(self, selector: str) -> str | None:
        """Return the absolute URL that the first node of a selector links to."""
        nodes = self.select(selector)
        href = nodes[0].attributes.get("href") if nodes else None
        return None if href is None else self.to_absolute(href)

    def to_absolute(self, url: str) -> str:
        """Resolve a URL against the page's base URL; an invalid one is returned unchanged."""
        try:
            return urllib.parse.urljoin(self._base, url.strip())
        except ValueError:
            return url


def find(node: lexbor.LexborNode | None, selector: str) -> list[lexbor.LexborNode]:
    """Find the nodes within a node that a selector matches; PageError when it is not a valid selector."""
    try:
        return node.css(selector) if node is not None else []
    except (lexbor.SelectolaxError, ValueError) as error:
        raise PageError(f"{selector!r} is not a CSS selector that can be read.") from error


def text_of(node: lexbor.LexborNode) -> str:
    """Return a node's text, with single spaces."""
    return " ".join(node.text(deep=True).split())


def decode(data: bytes, *, charset: str) -> str:
    """Decode a page by its byte order mark, the server's charset, the page's own, or else as UTF-8 or windows-1252."""
    for mark, name in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    meta = META_CHARSET.search(data[:META_BYTES])
    for declared in (charset, meta.group(1).decode() if meta else ""):
        try:
            name = codecs.lookup(declared).name
            return data.decode(WESTERN_CODECS.get(name, name), errors="replace")
        except (LookupError, ValueError):
            continue
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
