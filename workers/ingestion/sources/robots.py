"""Respects a site's robots.txt (RFC 9309)."""

import urllib.parse

import protego

from shared import errors
from workers.ingestion.sources import web

# RFC 9309: at least five redirects are followed, and at least 500 KiB are read.
MAX_REDIRECTS = 5
MAX_BYTES = 512 * 1024
SECONDS = 30.0
MAX_DELAY_SECONDS = 60.0


class Robots:
    """The rules of the sites that one load reads, each fetched once."""

    def __init__(self, client: web.Client) -> None:
        """Fetch rules with this client."""
        self._client = client
        self._rules: dict[str, protego.Protego] = {}

    def check(self, url: str) -> None:
        """Refuse a page that the site asks us not to read; RetryableError while its rules can't be fetched."""
        if not self._rules_of(url).can_fetch(url, web.ROBOT_NAME):
            raise errors.PermanentError(
                f"The robots.txt of {web.origin_of(url)} asks {web.ROBOT_NAME} not to read {web.redact(url)}, "
                "so it isn't read."
            )

    def delay_seconds(self, url: str) -> float:
        """Return how long the site asks us to wait between two requests; 0 when it doesn't say."""
        rules = self._rules_of(url)
        rate = rules.request_rate(web.ROBOT_NAME)
        delay = max(rules.crawl_delay(web.ROBOT_NAME) or 0.0, rate.seconds / max(rate.requests, 1) if rate else 0.0)
        if delay > MAX_DELAY_SECONDS:
            raise errors.PermanentError(
                f"The robots.txt of {web.origin_of(url)} asks for {delay:,.0f} s between two requests; "
                f"Millrace waits at most {MAX_DELAY_SECONDS:,.0f} s."
            )
        return delay

    def _rules_of(self, url: str) -> protego.Protego:
        site = web.origin_of(url)
        if site not in self._rules:
            self._rules[site] = protego.Protego.parse(self._fetch(site))
        return self._rules[site]

    def _fetch(self, site: str) -> str:
        """Fetch the text of a site's rules; empty when it has none."""
        rules_url = urllib.parse.urljoin(site, "/robots.txt")
        with self._client.get(rules_url, seconds=SECONDS, max_redirects=MAX_REDIRECTS) as response:
            if response.status >= 500 or response.status in web.TRANSIENT_STATUSES:
                raise errors.RetryableError(
                    f"{rules_url} answered {response.status}; without the site's rules its pages aren't read."
                )
            return _read_start(response) if response.status < 300 else ""


def _read_start(response: web.Response) -> str:
    """Read complete lines up to the limit; the rest is ignored."""
    content = b""
    for chunk in response.body:
        content += chunk
        if len(content) > MAX_BYTES:
            content = content[:MAX_BYTES].rpartition(b"\n")[0]
            break
    return content.decode("utf-8-sig", errors="replace")
