"""Keeps to what a site's robots.txt asks for (RFC 9309)."""

import urllib.parse

import protego

from shared import errors
from workers.ingestion.sources import web

# RFC 9309: at least five redirects are followed, and at least 500 KiB are read.
MOST_REDIRECTS = 5
MOST_BYTES = 512 * 1024
SECONDS = 30.0
LONGEST_DELAY_SECONDS = 60.0


class Robots:
    """The rules of the sites that one load reads, each asked for once."""

    def __init__(self, client: web.Web) -> None:
        """Ask by this client."""
        self._client = client
        self._rules: dict[str, protego.Protego] = {}

    def check(self, url: str) -> None:
        """Refuse a page that the site asks us not to read; RetryableError while its rules can't be had."""
        if not self._of(url).can_fetch(url, web.ROBOT):
            raise errors.PermanentError(
                f"The robots.txt of {web.origin(url)} asks {web.ROBOT} not to read {web.shown(url)}, so it isn't read."
            )

    def delay_seconds(self, url: str) -> float:
        """Give how long the site asks us to wait between two requests; 0 when it doesn't say."""
        rules = self._of(url)
        rate = rules.request_rate(web.ROBOT)
        asked = max(rules.crawl_delay(web.ROBOT) or 0.0, rate.seconds / max(rate.requests, 1) if rate else 0.0)
        if asked > LONGEST_DELAY_SECONDS:
            raise errors.PermanentError(
                f"The robots.txt of {web.origin(url)} asks for {asked:,.0f} s between two requests; "
                f"at most {LONGEST_DELAY_SECONDS:,.0f} s are waited."
            )
        return asked

    def _of(self, url: str) -> protego.Protego:
        site = web.origin(url)
        if site not in self._rules:
            self._rules[site] = protego.Protego.parse(self._fetch(site))
        return self._rules[site]

    def _fetch(self, site: str) -> str:
        """Give the text of a site's rules, empty when it has none."""
        address = urllib.parse.urljoin(site, "/robots.txt")
        with self._client.get(address, seconds=SECONDS, most_redirects=MOST_REDIRECTS) as answer:
            if answer.status >= 500 or answer.status in web.PASSING:
                raise errors.RetryableError(
                    f"{address} answered {answer.status}; without the site's rules its pages aren't read."
                )
            return _start(answer) if answer.status < 300 else ""


def _start(answer: web.Answer) -> str:
    """Read whole lines up to the limit; what lies behind it is not looked at."""
    read = b""
    for chunk in answer.body:
        read += chunk
        if len(read) > MOST_BYTES:
            read = read[:MOST_BYTES].rpartition(b"\n")[0]
            break
    return read.decode("utf-8-sig", errors="replace")
