-- The names, parameters and result columns of src/penstock/stores/sqlite/sql/settle.sql and the parts of others that settle uses.

-- name: release
with locked as materialized (
    select 1
    from penstock.busy b
    join (
        select distinct queue, key
        from penstock.message
        where seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)) and key is not null
    ) k on k.queue = b.queue and k.key = b.key
    order by b.queue, b.key
    for update of b
)
delete from penstock.leased
where owner = :owner
    and seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))
    and (select count(*) from locked) >= 0
returning seq

-- name: cancel_requests
select seq
from penstock.cancel
where owner = :owner

-- name: drop_cancel_requests
delete from penstock.cancel
where owner = :owner and seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))

-- name: finish
insert into penstock.finished (seq, queue, outcome, ended, attempt, owner, result, note)
select *
from unnest(:rows(bigint, text, text, bigint, int, bigint, bytea, text))

-- name: back_to_ready
insert into penstock.ready (queue, rank, seq, key)
select queue, rank, seq, key
from penstock.message
where seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))

-- name: put_aside
insert into penstock.aside (seq, queue, key, rank, stray)
select seq, queue, key, rank, null
from penstock.message
where seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))
on conflict do nothing

-- name: leave_aside
delete from penstock.aside
where seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))

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

-- name: hold_key
with held as (
    select *
    from unnest(:rows(text, text, bigint)) as r (queue, key, seq)
)
update penstock.busy b
set last = held.seq, owner = null
from held
where b.queue = held.queue and b.key = held.key

-- name: free_keys
delete from penstock.busy
where last in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)) and owner = :owner
returning queue, key

-- name: wake_heads
insert into penstock.ready (queue, rank, seq, key)
select a.queue, a.rank, a.seq, a.key
from unnest(:rows(text, text)) as f (queue, key)
cross join lateral (
    select *
    from penstock.aside
    where queue = f.queue and key = f.key
    order by seq
    limit 1
) a
where a.stray is null
    and not exists (select 1 from penstock.busy b where b.queue = f.queue and b.key = f.key)
returning seq

-- name: bump
insert into penstock.delta (queue, waiting, delayed, running, dead, done, failed, cancelled, expired, kept)
select *
from unnest(:rows(text, int, int, int, int, int, int, int, int, int))
