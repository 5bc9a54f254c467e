"""A login of PostgreSQL that is no superuser, for the time of a test."""

import contextlib
import secrets
from collections.abc import Iterator, Sequence

import psycopg
import sqlalchemy as sa


@contextlib.contextmanager
def login(url: str, *, roles: Sequence[str] = ()) -> Iterator[str]:
    """Make a login that may write everything in a database, and return the database's URL for it."""
    name, word = f"reader_{secrets.token_hex(8)}", secrets.token_hex(8)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{word}'")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        connection.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")
        connection.execute(f"GRANT ALL ON SCHEMA public TO {name}")
        for role in roles:
            connection.execute(f"GRANT {role} TO {name}")
        try:
            yield sa.make_url(url).set(username=name, password=word).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")
