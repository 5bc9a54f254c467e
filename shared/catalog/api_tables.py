"""The tables of the API's own database: keys, the mirror of names (`catalog`), and the owners of dataset names."""

import sqlalchemy as sa

from shared.jobs import tables

metadata = sa.MetaData(naming_convention=tables.NAMING)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("prefix", sa.String(16), nullable=False, unique=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("scopes", tables.JSON, nullable=False),
    sa.Column("created_at", tables.Milliseconds, nullable=False),
    sa.Column("expires_at", tables.Milliseconds),
    sa.Column("revoked_at", tables.Milliseconds),
    sa.Column("max_priority", sa.SmallInteger),
)

catalog = sa.Table(
    "catalog",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("type", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("label", sa.String(63), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("pin", tables.JSON),
    sa.Column("noted_at", tables.Milliseconds, nullable=False),
)

dataset_names = sa.Table(
    "dataset_names",
    metadata,
    sa.Column("tenant_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("asked_at", tables.Milliseconds, nullable=False),
)
