"""Checks the URLs of web servers that users give."""

import re
import urllib.parse

# Spaces, control characters and halves of surrogate pairs, which no valid URL holds.
_FORBIDDEN_IN_URLS = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\\\ud800-\udfff]")


def check_web_url(url: str) -> str:
    """Refuse what is not a web server's URL; its host's addresses are checked once they are resolved."""
    if forbidden := _FORBIDDEN_IN_URLS.search(url):
        raise ValueError(f"the URL contains the character {forbidden.group()!r}; write it percent-encoded")
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        # Python's own message may show a password.
        raise ValueError("the URL's host or port can't be read; write it like https://example.org:8443/path") from None
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError(f"the URL's scheme is {parts.scheme[:20]!r}; it must be http or https")
    if "@" in parts.netloc:
        raise ValueError("the URL contains a user name or password; only URLs that need neither are taken")
    if not parts.hostname:
        raise ValueError("the URL has no host; it must be like https://example.org/path")
    if port == 0:
        raise ValueError("the URL's port is 0; it must be from 1 to 65535")
    return url
