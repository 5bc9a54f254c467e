"""Asks the inference server by MLflow's client, in an environment without Millrace; prints what came of each call."""

import json
import sys
from typing import Any

import pandas as pd
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

asked = json.load(sys.stdin)
host, port = asked["address"].split(":")
# It has no other place for a key than the URL.
host = f"anybody:{asked['key']}@{host}"
frame = pd.DataFrame(asked["columns"])
found: dict[str, Any] = {}
for what, path in (("named", f"{port}/mlflow/{asked['deployment']}"), ("bare", port)):
    client = ScoringServerClient(host, path)
    client.ping()
    client.wait_server_ready(timeout=30)
    found[f"version {what}"] = client.get_version()
    records = frame.to_dict("records")
    forms = {"frame": frame, "records": json.dumps({"dataframe_records": records}), "inputs": records}
    for form, data in {**forms, "array": frame.to_numpy(dtype=object)}.items():
        found[f"{form} {what}"] = client.invoke(data)["predictions"]
try:
    ScoringServerClient(host, f"{port}/mlflow/nothing").invoke(frame)
except Exception as error:  # noqa: BLE001 - the client raises no other class.
    found["nothing"] = str(error)
json.dump(found, sys.stdout)
