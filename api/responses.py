"""The response class of the application, in the form that the server sends fastest: a complete body as one list."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Response(flask.Response):
    """A response that, unless it is a stream, is passed to granian as a list, which granian sends without iterating."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Send the response."""
        has_body = environ["REQUEST_METHOD"] != "HEAD" and self.status_code not in {204, 304}
        if not self.is_sequence or self._on_close or not has_body:
            return super().__call__(environ, start_response)
        start_response(self.status, self.get_wsgi_headers(environ).to_wsgi_list())
        return list(self.iter_encoded())
