-- What SQLite's put yields, said word for word to PostgreSQL: fails beside a concurrent writer.

-- name: last_seq
select coalesce(max(seq), 0)
from penstock.message

-- name: put_messages
insert into penstock.message (id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body)
select *
from unnest(:rows(text, text, text, smallint, text, bigint, bigint, bigint, boolean, bytea, bytea, bytea))

-- name: put_ready
insert into penstock.ready (queue, rank, seq, key)
select queue, rank, seq, key
from penstock.message
where seq > :after and due is null

-- name: bump
insert into penstock.delta (queue, waiting, delayed, running, dead, done, failed, cancelled, expired, kept)
select *
from unnest(:rows(text, int, int, int, int, int, int, int, int, int))
