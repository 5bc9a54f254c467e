"""A model that came as ONNX is answered by ONNX Runtime from the first row on, and bad rows are the client's."""

from typing import Any

import numpy as np
import pytest

from shared import errors
from tests.integration import sample_data
from tests.unit.prediction.online.conftest import Stage
from tests.unit.training.imports import models


def test_it_is_deployed_answers_and_refuses_like_one_of_ours(stage: Stage) -> None:
    made, data = models.logistic()
    query = {"columns": '[{"name": "a", "type": "number"}, {"name": "b", "type": "integer"}]', "target": "great"}
    accepted = stage.client.post(
        "/v1/models/bought/import", data=data, query_string=query, content_type="application/octet-stream"
    )
    sample_data.done(stage.client, accepted)
    stage.deploy(("bought@1", 100))
    found = stage.copy()[0].find("default", "great")
    assert found is not None
    [version] = found.versions
    assert version.platform == "onnxruntime_onnx"
    given: dict[str, list[Any]] = {"a": [0.5, -1.25, 2.0], "b": [1, 2, -3]}
    answer = version.predict_quickly(given)
    assert answer is not None
    values = np.array([given["a"], given["b"]], np.float32).T
    assert answer.values[0] == made.predict(values).tolist()
    np.testing.assert_allclose(answer.values[2], made.predict_proba(values)[:, 1], atol=1e-5)
    assert np.allclose(np.array(answer.values[1:]), np.array(version.predict(given, rows_count=3).values[1:]))
    with pytest.raises(errors.BadDataError, match="'a' was of type number"):
        version.predict({"a": ["much"], "b": [1]}, rows_count=1)
