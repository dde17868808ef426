-- Runs once, when the data folder is created. The exporter gets a role that may read statistics and
-- nothing else.
\getenv password POSTGRES_MONITORING_PASSWORD
CREATE ROLE monitoring LOGIN PASSWORD :'password' CONNECTION LIMIT 5;
GRANT pg_monitor TO monitoring;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
