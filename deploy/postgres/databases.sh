#!/bin/bash
# Makes a database and a login for every DATABASE_PASSWORD_<STORE> in the environment, and nothing twice.
# It runs at every `up`: a store that a later release adds appears, a changed password is applied.
set -euo pipefail

# PUBLIC may connect to every new database unless told otherwise; a login must reach its own database only.
psql -v ON_ERROR_STOP=1 -q <<'SQL'
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, template1 FROM PUBLIC;
SQL

for variable in "${!DATABASE_PASSWORD_@}"; do
    store="${variable#DATABASE_PASSWORD_}"
    # psql quotes the name and the password itself, so neither can end a statement early.
    psql -v ON_ERROR_STOP=1 -q -v store="${store,,}" -v variable="$variable" <<'SQL'
\getenv password :variable
SELECT format('CREATE ROLE %I LOGIN', :'store')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'store') \gexec
ALTER ROLE :"store" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'store', :'store')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'store') \gexec
REVOKE ALL ON DATABASE :"store" FROM PUBLIC;
SQL
    echo "database ${store,,} is ready"
done
