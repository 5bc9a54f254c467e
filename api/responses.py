"""The response class of the application, in the form that the server sends fastest: a complete body as one list."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


PATH = "millrace.path"
"""The key of the WSGI environment under which the front is told which file holds the body that is sent."""


class Response(flask.Response):
    """A response that, unless it is a stream, is passed to the server as a list, which it sends without iterating."""

    is_final = True
    """Whether this is what the client gets: a response that waits makes the one that the client gets."""

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Send the response."""
        has_body = environ["REQUEST_METHOD"] != "HEAD" and self.status_code not in {204, 304}
        if not self.is_sequence or self._on_close or not has_body:
            return super().__call__(environ, start_response)
        start_response(self.status, self.get_wsgi_headers(environ).to_wsgi_list())
        return list(self.iter_encoded())
