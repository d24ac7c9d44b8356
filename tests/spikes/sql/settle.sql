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
update penstock.message
set due = :due, failures = :failures
where seq = :seq

-- name: into_later
insert into penstock.later (queue, due, seq)
values (:queue, :due, :seq)

-- name: remember
insert into penstock.attempt (seq, number, what, at, owner, error, message, traceback)
values (:seq, :number, :what, :at, :owner, :error, :message, :traceback)

-- name: hold_key
update penstock.busy
set last = :seq, owner = null
where queue = :queue and key = :key

-- name: free_keys
delete from penstock.busy
where last in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)) and owner = :owner
returning queue, key

-- name: head_of_key
select a.seq, a.stray
from penstock.aside a
where a.queue = :queue and a.key = :key
    and not exists (select 1 from penstock.busy b where b.queue = :queue and b.key = :key)
order by a.seq
limit 1

-- name: bump
insert into penstock.delta (queue, waiting, delayed, running, dead, done, failed, cancelled, expired, kept)
values (:queue, :waiting, :delayed, :running, :dead, :done, :failed, :cancelled, :expired, :kept)
