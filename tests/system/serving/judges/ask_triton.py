"""Asks the inference server by tritonclient, in an environment without Millrace; prints what came of each call."""

import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

asked = json.load(sys.stdin)
headers = {"Authorization": f"Bearer {asked['key']}"}
name, columns, datatypes = asked["deployment"], asked["columns"], asked["datatypes"]
client = triton.InferenceServerClient(asked["address"])
found: dict[str, Any] = {}


def make_inputs(*, binary: bool) -> list[Any]:
    inputs = []
    for column, datatype in datatypes.items():
        dtype = {"BYTES": object, "FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}[datatype]
        values: Any = np.array(columns[column], dtype=dtype)
        each = triton.InferInput(column, list(values.shape), datatype)
        each.set_data_from_numpy(values, binary_data=binary)
        inputs.append(each)
    return inputs


def read(result: Any) -> dict[str, list[Any]]:
    outputs = {}
    for output in result.get_response()["outputs"]:
        values = result.as_numpy(output["name"]).tolist()
        outputs[output["name"]] = [value.decode() if isinstance(value, bytes) else value for value in values]
    return outputs


def call(what: str, ask: Callable[[], Any]) -> None:
    try:
        found[what] = ask()
    except InferenceServerException as error:
        found[what] = {"status": error.status(), "message": error.message()}


def infer(*, binary: bool, wanted: Any, **options: Any) -> dict[str, list[Any]]:
    # The client adds headers of its own to those that it is given.
    inputs = make_inputs(binary=binary)
    return read(client.infer(name, inputs, outputs=wanted, headers=dict(headers), request_id="mine", **options))


def want(*, binary: bool) -> list[Any]:
    return [triton.InferRequestedOutput(each, binary_data=binary) for each in ("prediction", "probability_yes")]


def infer_later() -> dict[str, list[Any]]:
    return read(client.async_infer(name, make_inputs(binary=True), headers=dict(headers)).get_result())


packings = (None, "gzip", "deflate")
for binary_in, binary_out, sent, received in itertools.product((True, False), (True, False), packings, packings):
    options = {"request_compression_algorithm": sent, "response_compression_algorithm": received}
    what = f"infer {binary_in} {binary_out} {sent} {received}"
    found[what] = infer(binary=binary_in, wanted=want(binary=binary_out), **options)
found["infer as by default"] = infer(binary=True, wanted=None)
found["infer a version"] = infer(binary=True, wanted=None, model_version="1")
found["infer later"] = infer_later()
classes = triton.InferRequestedOutput("predict_proba")
found["infer probabilities"] = (
    client.infer(name, make_inputs(binary=True), outputs=[classes], headers=dict(headers))
    .as_numpy("predict_proba")
    .tolist()
)
call("infer nothing known", lambda: infer(binary=True, wanted=[triton.InferRequestedOutput("score")]))
call("infer a version that is not there", lambda: infer(binary=True, wanted=None, model_version="99"))
call("infer what is not there", lambda: client.infer("nothing", make_inputs(binary=True), headers=dict(headers)))
call("infer without a key", lambda: client.infer(name, make_inputs(binary=True)))

plain: dict[str, Callable[..., Any]] = {
    "is_server_live": client.is_server_live,
    "is_server_ready": client.is_server_ready,
    "get_server_metadata": client.get_server_metadata,
    "get_model_repository_index": client.get_model_repository_index,
    "get_inference_statistics": client.get_inference_statistics,
    "get_trace_settings": client.get_trace_settings,
    "get_log_settings": client.get_log_settings,
    "get_system_shared_memory_status": client.get_system_shared_memory_status,
    "get_cuda_shared_memory_status": client.get_cuda_shared_memory_status,
    "unregister_system_shared_memory": client.unregister_system_shared_memory,
    "unregister_cuda_shared_memory": client.unregister_cuda_shared_memory,
}
for what, method in plain.items():
    call(what, lambda method=method: method(headers=headers))  # type: ignore[misc]
of_models: dict[str, Callable[..., Any]] = {
    "is_model_ready": client.is_model_ready,
    "get_model_metadata": client.get_model_metadata,
    "get_model_config": client.get_model_config,
    "get_inference_statistics": client.get_inference_statistics,
}
for what, method in of_models.items():
    call(f"{what} of it", lambda method=method: method(name, headers=headers))  # type: ignore[misc]
    call(f"{what} of a version", lambda method=method: method(name, "1", headers=headers))  # type: ignore[misc]
    call(f"{what} of nothing", lambda method=method: method("nothing", headers=headers))  # type: ignore[misc]
call("load_model", lambda: client.load_model(name, headers=headers))
call("load_model of nothing", lambda: client.load_model("nothing", headers=headers))
call("unload_model", lambda: client.unload_model(name, headers=headers))
call("update_trace_settings", lambda: client.update_trace_settings(settings={}, headers=headers))
call("update_log_settings", lambda: client.update_log_settings({}, headers=headers))
call("register_system_shared_memory", lambda: client.register_system_shared_memory("mine", "/mine", 8, headers=headers))
call("register_cuda_shared_memory", lambda: client.register_cuda_shared_memory("mine", b"x", 0, 8, headers=headers))
client.close()
json.dump(found, sys.stdout)
