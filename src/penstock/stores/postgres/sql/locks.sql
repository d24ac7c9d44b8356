-- name: lock_name
-- Two numbers, so that it meets none of the floor's keys, which are one. The table's is the schema's own.
select pg_advisory_xact_lock('penstock.message'::regclass::oid::int, hashtext(:what))
