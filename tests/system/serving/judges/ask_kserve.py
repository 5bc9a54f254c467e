"""Asks the inference server by KServe's client, in an environment without Millrace; prints what came of each call."""

import asyncio
import json
import sys
from typing import Any

import httpx
import numpy as np
from kserve import InferInput, InferOutput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

asked = json.load(sys.stdin)
name, columns, datatypes = asked["deployment"], asked["columns"], asked["datatypes"]
url = f"http://{asked['address']}"
DTYPES = {"BYTES": object, "FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}


def make_request(*, binary: bool, binary_out: bool) -> InferRequest:
    inputs = []
    for column, datatype in datatypes.items():
        values: Any = np.array(columns[column], dtype=DTYPES[datatype])
        each = InferInput(column, list(values.shape), datatype)
        each.set_data_from_numpy(values, binary_data=binary)
        inputs.append(each)
    outputs = [RequestedOutput(each, {"binary_data": binary_out}) for each in ("prediction", "probability_yes")]
    return InferRequest(name, inputs, request_id="mine", request_outputs=outputs)


def read(response: Any) -> dict[str, list[Any]]:
    def to_text(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    def values_of(output: InferOutput) -> list[Any]:
        return [to_text(value) for value in output.as_numpy().tolist()]

    return {output.name: values_of(output) for output in response.outputs}


async def main() -> dict[str, Any]:
    found: dict[str, Any] = {}
    config = RESTConfig(protocol="v2", auth=("anybody", asked["key"]), timeout=30)
    async with InferenceRESTClient(config) as client:
        found["is_server_live"] = await client.is_server_live(url)
        found["is_server_ready"] = await client.is_server_ready(url)
        found["is_model_ready"] = await client.is_model_ready(url, name)
        found["is_model_ready of nothing"] = await client.is_model_ready(url, "nothing")
        for binary in (True, False):
            for binary_out in (True, False):
                request = make_request(binary=binary, binary_out=binary_out)
                response = await client.infer(url, request, model_name=name)
                found[f"infer {binary} {binary_out}"] = read(response)
                found[f"id {binary} {binary_out}"] = response.id
        try:
            await client.infer(url, make_request(binary=True, binary_out=True), model_name="nothing")
        except httpx.HTTPStatusError as error:
            found["infer what is not there"] = {"status": error.response.status_code, "message": str(error)}
    return found


json.dump(asyncio.run(main()), sys.stdout)
