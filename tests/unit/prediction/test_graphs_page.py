"""The examples of docs/graphs.md are documents that a deployment takes."""

import json
import pathlib
import re

from shared.prediction.deployments import Deployment

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "graphs.md"


def test_each_example_is_a_graph() -> None:
    examples = [json.loads(each) for each in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)]
    kinds = [graph[0] for each in examples if (graph := Deployment.model_validate(each).graph)]
    assert kinds == ["sequence", "switch", "ensemble"]
