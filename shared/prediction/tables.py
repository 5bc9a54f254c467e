"""The tables of the prediction role."""

from shared import datasets, tables

metadata = tables.with_ledger()
datasets.add_tables(metadata)
