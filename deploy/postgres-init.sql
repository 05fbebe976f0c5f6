-- Dagster's own storage is a database beside the marts'.
CREATE DATABASE dagster;

-- Those who read (Grafana, notebooks) get a role that can do nothing else:
--   CREATE ROLE alice LOGIN PASSWORD '...' IN ROLE llmops_reader;
CREATE ROLE llmops_reader NOLOGIN;
GRANT CONNECT ON DATABASE llmops TO llmops_reader;
GRANT USAGE ON SCHEMA public TO llmops_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO llmops_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE llmops IN SCHEMA public GRANT SELECT ON TABLES TO llmops_reader;
