"""The tables of the orchestration role."""

from shared.jobs import tables

metadata = tables.with_ledger()
