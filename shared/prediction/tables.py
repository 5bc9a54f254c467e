"""The tables of the prediction role."""

from shared.catalog import datasets
from shared.jobs import tables

metadata = tables.with_ledger()
datasets.add_tables(metadata)
