"""The floor of the serving benchmark: one ONNX call in a bare WSGI callable, on the server that Millrace runs on too.

    python -m benchmarks.serving.floor <model.onnx> <port> <processes>

It reads `{"instances": [{…}]}`, builds the model's inputs without looking at any value, and writes what the model
predicts. It knows no keys, versions or metrics, and one slow body would hold one of its threads.
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnxruntime
import orjson
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server

NOTHING = "/nothing"
"""The path that is answered without the model, by which the load generator itself is measured."""
MODEL = "BENCH_MODEL"
"""The variable that tells the serving processes where the model is."""
_TYPES: dict[str, Any] = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(string)": object}
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def make_application() -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """Load the model, and make the WSGI callable."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ[MODEL], options, providers=["CPUExecutionProvider"])
    inputs = [(each.name, _TYPES[each.type]) for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == NOTHING:
            start_response("200 OK", [("content-type", "application/json")])
            return [b"{}"]
        rows = orjson.loads(environ["wsgi.input"].read())["instances"]
        feed = {name: np.array([row[name] for row in rows], dtype=dtype).reshape(-1, 1) for name, dtype in inputs}
        predicted = [np.asarray(output).tolist() for output in session.run(outputs, feed)]
        start_response("200 OK", [("content-type", "application/json")])
        return [orjson.dumps(dict(zip(outputs, predicted, strict=True)))]

    return answer


def main() -> None:
    """Serve until TERM."""
    model, port, processes = sys.argv[1:4]
    os.environ[MODEL] = model
    Server(
        "benchmarks.serving.floor:make_application",
        factory=True,
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.WSGI,
        workers=int(processes),
        blocking_threads=4,
        http=HTTPModes.http1,
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    main()
