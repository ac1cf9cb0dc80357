-- What a base backup of the embedded server asks for: to say where it begins and ends, and to end a piece of the log.
-- Run as the superuser in the control database. The files themselves are read by their owner, over no connection, so
-- that no role needs the right of replication.
GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_switch_wal() TO strongroom_backup;
