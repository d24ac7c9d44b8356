-- Which store a connection is open on, and what time it is there.

-- name: who_are_you
select to_regtype(:mark::text) is not null, current_setting('synchronous_commit')

-- name: server_time
select (extract(epoch from clock_timestamp()) * 1000000)::bigint
