"""Asks the inference server by the generated client `open-inference-openapi`; prints what came of each call."""

import asyncio
import json
import sys
from typing import Any

import httpx
from open_inference.openapi import InferenceRequest, NotFoundError, RequestInput, RequestOutput
from open_inference.openapi.client import AsyncOpenInferenceClient, OpenInferenceClient

asked = json.load(sys.stdin)
name, columns, datatypes = asked["deployment"], asked["columns"], asked["datatypes"]
url, auth = f"http://{asked['address']}", ("anybody", asked["key"])
inputs = [
    RequestInput(name=column, shape=[len(columns[column])], datatype=datatype, data=columns[column])
    for column, datatype in datatypes.items()
]
outputs = [RequestOutput(name="prediction"), RequestOutput(name="probability_yes")]
request = InferenceRequest(id="mine", inputs=inputs, outputs=outputs)


def read(response: Any) -> dict[str, Any]:
    return {output.name: json.loads(output.json())["data"] for output in response.outputs}


found: dict[str, Any] = {}
with httpx.Client(auth=auth, timeout=30) as held:
    client = OpenInferenceClient(base_url=url, httpx_client=held)
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(name)
    client.check_model_version_readiness(name, "1")
    found["server"] = json.loads(client.read_server_metadata().json())
    found["model"] = json.loads(client.read_model_metadata(name).json())
    found["version"] = json.loads(client.read_model_version_metadata(name, "1").json())
    response = client.model_infer(name, request=request)
    found["id"] = response.id
    found["infer"] = read(response)
    found["infer a version"] = read(client.model_version_infer(name, "1", request=request))
    try:
        client.check_model_readiness("nothing")
    except NotFoundError as error:
        found["nothing"] = error.body


async def ask_again() -> dict[str, Any]:
    async with httpx.AsyncClient(auth=auth, timeout=30) as held:
        client = AsyncOpenInferenceClient(base_url=url, httpx_client=held)
        return read(await client.model_infer(name, request=request))


found["infer later"] = asyncio.run(ask_again())
json.dump(found, sys.stdout)
