"""What every table and every kind of job must have."""

import pydantic
import pytest

from migrations import stores
from shared import contract, kinds, roles

WITHOUT_TENANT = {
    # Workers serve every tenant, and so do copies of the inference server, with what they sign by and what they tell.
    *("workers", "prediction_keys", "inference_copies", "taken_segments"),
    # How far the event log goes, and how far our own processes have read it.
    *("event_heads", "event_cursors"),
}


@pytest.mark.parametrize("store", roles.STORES)
def test_every_row_belongs_to_a_tenant(store: str) -> None:
    without = [table.name for table in stores.metadata_of(store).sorted_tables if "tenant_id" not in table.columns]
    assert set(without) <= WITHOUT_TENANT


@pytest.mark.parametrize("kind", kinds.by_name().values(), ids=lambda kind: kind.name)
def test_every_field_of_a_contract_is_described(kind: contract.Kind) -> None:
    assert undescribed(kind.command) + undescribed(kind.result) == []


def undescribed(model: type[pydantic.BaseModel]) -> list[str]:
    """List the fields without a description."""
    schema = model.model_json_schema()
    models = [schema, *schema.get("$defs", {}).values()]
    return [
        f"{one['title']}.{name}"
        for one in models
        for name, field in one.get("properties", {}).items()
        if "description" not in field and "const" not in field and "$ref" not in field
    ]


@pytest.mark.parametrize("kind", kinds.by_name().values(), ids=lambda kind: kind.name)
def test_every_contract_is_frozen_strict_and_refuses_the_unknown(kind: contract.Kind) -> None:
    for model in (kind.command, kind.result):
        config = model.model_config
        assert (config["frozen"], config["extra"], config["strict"]) == (True, "forbid", True)
