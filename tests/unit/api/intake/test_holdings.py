"""What live jobs hold in the store."""

from api.intake import holdings
from shared.jobs.states import State
from tests.unit.rig import TENANT, Rig


def test_a_retry_holds_what_the_children_of_every_job_before_it_have_made(rig: Rig) -> None:
    first = rig.put()
    second = rig.put(retry_of=first)
    third = rig.put(retry_of=second)
    children = [rig.put(parent_id=parent) for parent in (first, second, third)]
    grandchild = rig.put(parent_id=rig.put(parent_id=rig.put()))
    for ended in (first, second, *children, grandchild):
        rig.change(ended, state=State.FAILED)
    held = {
        line["job"]
        for line in rig.run(lambda connection: list(holdings._collect_from_jobs(connection, tenant_id=TENANT)))
    }
    assert {third, *children} <= held
    assert not {first, second} & held
