-- Writing ends. Locks are waited for in this order only, here and in whatever else moves messages: the row of a worker, then the
-- busy rows of keys, by queue and key.

-- name: release
-- A rescue waits for the worker's row, or is waited for; a claim that met a key has put aside what it met when we go on.
with alive as materialized (
    select 1
    from penstock.worker
    where incarnation = :owner
    for key share
), locked as materialized (
    select 1
    from penstock.busy b
    join (
        select distinct queue, key
        from penstock.message
        where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))) and key is not null
    ) k on k.queue = b.queue and k.key = b.key
    where (select count(*) from alive) >= 0
    order by b.queue, b.key
    for update of b
)
delete from penstock.leased
where owner = :owner
    and seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
    and claimed <= :claimed
    and (select count(*) from locked) >= 0
returning seq

-- name: cancel_requests
select seq
from penstock.cancel
where owner = :owner

-- name: drop_cancel_requests
delete from penstock.cancel
where owner = :owner and seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: finish
insert into penstock.finished (seq, queue, outcome, ended, attempt, owner, result, note)
select *
from unnest(:rows(bigint, text, text, bigint, int, bigint, bytea, text))

-- name: back_to_ready
insert into penstock.ready (queue, rank, seq, key)
select queue, rank, seq, key
from penstock.message
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: postpone
with late as (
    select *
    from unnest(:rows(bigint, bigint, int)) as r (seq, due, failures)
)
update penstock.message m
set due = late.due, failures = late.failures
from late
where m.seq = late.seq

-- name: into_later
insert into penstock.later (queue, due, seq)
select *
from unnest(:rows(text, bigint, bigint))

-- name: remember
insert into penstock.attempt (seq, number, what, at, owner, error, message, traceback)
select *
from unnest(:rows(bigint, int, text, bigint, text, text, text, text))

-- name: count_failure
with failed as (
    select *
    from unnest(:rows(bigint, int)) as r (seq, failures)
)
update penstock.message m
set failures = failed.failures
from failed
where m.seq = failed.seq

-- name: bury
insert into penstock.dead (seq, queue, task, reason, died, attempts, error, message, traceback)
select *
from unnest(:rows(bigint, text, text, text, bigint, int, text, text, text))

-- name: hooked
select task
from penstock.hook
where task in (select jsonb_array_elements_text(:tasks::text::jsonb))

-- name: bump
-- Inserted, and folded later: nobody meets anybody at a row of a queue.
insert into penstock.delta (queue, waiting, delayed, running, dead, done, failed, cancelled, expired, kept)
select *
from unnest(:rows(text, int, int, int, int, int, int, int, int, int))
