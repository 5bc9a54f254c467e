"""What granian calls in the inference server: checks the key, receives the body, and lets a face answer."""

import asyncio
import base64
import binascii
import dataclasses
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from shared import errors, ids, settings
from shared.objects import hostcache, opening
from shared.objects.outages import Outages
from workers.prediction.online import bodies, measures, packing, plane, serving
from workers.prediction.online.faces import documents, mlflow, native, open_inference, pages, plain_errors
from workers.prediction.online.messages import Request, Response
from workers.prediction.online.records.recorder import Recorder
from workers.prediction.online.records.shipping import FOLDER, Shipping

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

_log = structlog.get_logger()
_LOOK_SECONDS = 0.5
_GRACE_SECONDS = 20.0
_PRESENCE_SECONDS = 10.0
"""How often a process tells that it runs."""
DRAIN_SIGNAL = signal.SIGUSR1
"""Tells a process that serves that it is to stop soon."""
AGE_HEADER = "millrace-manifest-age"
"""How many seconds ago what is served was read from the databases."""
_BARE = ("invocations", "ping", "health", "version")


class Application:
    """An RSGI application that serves deployments."""

    def __init__(self, config: settings.Settings) -> None:
        """Serve what the object store's latest manifest says."""
        self._max_bytes = config.inference_max_body_bytes
        objects = opening.open_store(config)
        self._recorder = Recorder()
        self._shipping = Shipping(self._recorder, config.home / FOLDER, objects)
        cache = hostcache.open_cache(config)
        self._served = serving.Serving(objects, cache, self._recorder, memory_bytes=config.inference_memory_bytes)
        self._watch = serving.Watch(self._served, objects)
        self._bodies = bodies.Receiver()
        self._requests = measures.Requests()
        self._plane = plane.Plane(self._recorder)
        self._faces: dict[str, Any] = {
            native.PREFIX[0]: native.Native(self._served, self._plane),
            open_inference.PREFIX[0]: open_inference.OpenInference(self._served, self._plane),
            mlflow.PREFIX[0]: mlflow.Mlflow(self._served, self._plane),
        }
        self._faces |= dict.fromkeys(_BARE, self._faces[mlflow.PREFIX[0]])
        self._overlays_away = Outages("pushed_rows_not_read")
        self._is_draining = False
        self._port = config.inference_port
        self._told_at = float("-inf")
        self._was_ready = False

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to follow manifests, in the process that serves."""
        loop.add_signal_handler(DRAIN_SIGNAL, self._drain)
        # Before the first request, so that nothing is noted that is kept nowhere.
        self._shipping.ship()
        for name, work in (
            ("manifests", self._watch.take_new),
            ("versions", self._load_versions),
            ("tables", self._served.load_tables),
            ("pushed rows", self._load_overlays),
            ("records", self._ship),
        ):
            threading.Thread(target=_repeat, args=(work,), name=name, daemon=True).start()
        threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()

    def _ship(self) -> None:
        """Ship what was noted, and every few seconds that this process runs; at once when it gets ready, or drains."""
        is_ready = self._is_ready
        if time.monotonic() - self._told_at >= _PRESENCE_SECONDS or is_ready != self._was_ready:
            self._told_at, self._was_ready = time.monotonic(), is_ready
            manifest = self._served.manifest
            self._recorder.note_presence(
                port=self._port, manifest=0 if manifest is None else manifest.number, is_ready=is_ready
            )
        self._shipping.ship()

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Ship what was noted last."""
        self._recorder.close()

    def _load_overlays(self) -> None:
        """Read what was pushed; while the store is away, at a later turn."""
        with self._overlays_away.passing():
            self._served.sources.load_overlays()

    def _load_versions(self) -> None:
        """Load what is missing, and then let the collector of garbage leave alone all that is there.

        Models and libraries are some hundred thousand objects, which it would look at again after a few thousand
        requests; what a request leaves behind is what is new since then.
        """
        if self._served.load_missing():
            gc.unfreeze()
            gc.collect()
            gc.freeze()

    async def __rsgi__(self, scope: "Scope", protocol: "HTTPProtocol") -> None:
        """Answer a request."""
        path = tuple(scope.path.strip("/").split("/"))
        began = time.perf_counter()
        face = self._faces.get(path[0])
        response = self._answer_without_key(scope.method, path)
        if response is None:
            response = await self._answer(face, scope, protocol, path=path)
        label = path[0] if face else "other"
        self._requests.note(label, response.status, seconds=time.perf_counter() - began)
        headers = [("content-type", response.content_type), *response.headers]
        if self._served.manifest is not None:
            headers.append((AGE_HEADER, f"{self._compute_age():.0f}"))
        if self._is_draining:
            # So that who keeps connections goes elsewhere before this one closes.
            headers.append(("connection", "close"))
        body = response.body
        if len(body) >= packing.MIN_BYTES and (encoding := packing.choose(scope.headers.get("accept-encoding") or "")):
            body = await asyncio.to_thread(packing.pack, body, encoding=encoding)
            headers += [("content-encoding", encoding), ("vary", "Accept-Encoding")]
        protocol.response_bytes(response.status, headers, body)

    @property
    def _is_ready(self) -> bool:
        """Whether what is deployed has been loaded, and this copy is not about to stop."""
        return self._served.is_complete and not self._is_draining

    def _drain(self) -> None:
        """Say from now on that this copy is not ready, and go on to answer."""
        self._is_draining = True

    def _answer_without_key(self, method: str, path: tuple[str, ...]) -> Response | None:
        if method not in ("GET", "HEAD"):
            return None
        match path:
            case ("healthz",):
                return Response.of({"status": "ok"})
            case ("readyz",) | ("v2", "health", "ready"):
                return Response.of({"ready": self._is_ready}, status=200 if self._is_ready else 503)
            case ("v2", "health", "live"):
                return Response.of({"live": True})
            case ("v2",):
                return Response.of(open_inference.describe_server())
            case ("openapi.json",):
                return Response.of(documents.describe_server())
            case ("docs",):
                return Response(200, pages.list_routes(), pages.CONTENT_TYPE, pages.HEADERS)
            case _:
                return None

    async def _answer(self, face: Any, scope: "Scope", protocol: "HTTPProtocol", *, path: tuple[str, ...]) -> Response:
        face = face or self._faces[native.PREFIX[0]]
        tenant_id = None
        try:
            headers = _read_headers(scope)
            tenant_id = self._served.find_tenant(_read_key(headers))
            if tenant_id is None:
                raise errors.UnauthenticatedError("The API key is not valid.")
            if path == ("metrics",):
                return self._show_metrics(tenant_id)
            body = await self._bodies.receive(protocol, headers=headers, max_bytes=self._max_bytes)
            request = Request("GET" if scope.method == "HEAD" else scope.method, path, headers, body, tenant_id)
            response: Response = await face.answer(request)
        except errors.MillraceError as error:
            error, headers_added = plain_errors.hide(error, self._served, tenant_id=tenant_id, path=path)
            response = face.refuse(error)
            if response.status == 401:
                headers_added = (("WWW-Authenticate", 'Basic realm="millrace", Bearer realm="millrace"'),)
            return dataclasses.replace(response, headers=(*response.headers, *headers_added))
        except Exception as error:  # noqa: BLE001 - granian would log it as text, and answer without a reason.
            incident = ids.new_ulid()
            _log.error("request_failed", incident=incident, error=type(error).__name__, path="/".join(path)[:200])
            unexpected: Response = face.refuse(errors.MillraceError(f"An unexpected error occurred ({incident})."))
            return unexpected
        return response

    def _show_metrics(self, tenant_id: str) -> Response:
        text = measures.Export(tenant_id, age_seconds=self._compute_age()).write()
        return Response(200, text, content_type="text/plain; version=0.0.4; charset=utf-8")

    def _compute_age(self) -> float:
        manifest = self._served.manifest
        return float("nan") if manifest is None else max(0.0, time.time() - manifest.composed_at / 1000)


def _repeat(work: Callable[[], Any]) -> None:
    while True:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread that ended would serve what is old for good.
            _log.error("serving_not_followed", error=errors.to_reason(error))
        time.sleep(_LOOK_SECONDS)


def _end_with(parent: int) -> None:
    """End this process as TERM would once its parent is gone, killed or not, and by force a little later."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def _read_headers(scope: "Scope") -> Mapping[str, str]:
    items = scope.headers.items()
    headers = dict(items)
    if len(headers) != len(items) and sum(name == "authorization" for name, _ in items) > 1:
        raise errors.MalformedRequestError("There are several Authorization headers; send exactly one.")
    return headers


def _read_key(headers: Mapping[str, str]) -> str:
    """Read the key: as Bearer, or as the password of HTTP Basic, where clients can only carry that."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError) as error:
            raise errors.UnauthenticatedError("The Authorization header can't be read.") from error
    raise errors.UnauthenticatedError("Send an API key: `Authorization: Bearer <key>`.")
