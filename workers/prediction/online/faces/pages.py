"""A page that lists the routes of the inference server, without scripts and without files from elsewhere."""

import functools
import html

from workers.prediction.online.faces import documents

HEADERS = (("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),)
CONTENT_TYPE = "text/html; charset=utf-8"
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:1rem/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}}
td{{padding:.2rem 1rem .2rem 0;vertical-align:top}}</style></head>
<body><h1>{title}</h1>
<p>The whole description, for clients and generators, is <a href="/openapi.json">/openapi.json</a>; that of one
deployment, with a row to try, is <code>/v2/models/{{model}}/docs/dataplane.json</code>. All but health needs
<code>Authorization: Bearer &lt;key&gt;</code>, or the key as the password of HTTP Basic.</p>
<table>
{rows}
</table></body>
</html>
"""


@functools.cache
def list_routes() -> bytes:
    """Write the page."""
    document = documents.describe_server()
    rows = [
        f"<tr><td>{method.upper()}</td><td><code>{path}</code></td><td>{html.escape(each['summary'])}</td></tr>"
        for path, operations in document["paths"].items()
        for method, each in operations.items()
    ]
    return _PAGE.format(title=html.escape(document["info"]["title"]), rows="\n".join(rows)).encode()
