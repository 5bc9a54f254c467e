"""The tables of the ingestion role."""

from shared import datasets, tables

metadata = tables.with_ledger()
datasets.add_tables(metadata)
