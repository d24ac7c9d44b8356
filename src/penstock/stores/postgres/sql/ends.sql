-- Ends that come from outside: cancellation, expiry, dead letters, forgetting.

-- name: find_message
select m.seq, m.queue, m.task, m.key, m.rank, m.due, m.failures, m.deaths, m.id, m.options
from penstock.message m
where m.id = :id

-- name: is_over
select 1
from penstock.finished
where seq = :seq
union all
select 1
from penstock.dead
where seq = :seq

-- name: holder
select owner
from penstock.leased
where owner = any (array(select incarnation from penstock.worker)) and seq = :seq

-- name: request_cancel
-- With the lease locked: a settle that is under way has ended it, or meets the request. No row: the lease is gone.
insert into penstock.cancel (owner, seq)
select owner, seq
from penstock.leased
where owner = :owner and seq = :seq
for key share
on conflict (owner, seq) do update set seq = excluded.seq
returning seq

-- name: take_from_ready
-- Skips what a claim has locked, here and below: that may be waiting for the key which we have seized.
with found as materialized (
    select 1
    from penstock.ready
    where queue = :queue and rank = :rank and seq = :seq
    for update skip locked
)
delete from penstock.ready
where queue = :queue and rank = :rank and seq = :seq and (select count(*) from found) = 1
returning seq

-- name: take_from_later
with found as materialized (
    select 1
    from penstock.later
    where queue = :queue and due = :due and seq = :seq
    for update skip locked
)
delete from penstock.later
where queue = :queue and due = :due and seq = :seq and (select count(*) from found) = 1
returning seq

-- name: take_from_aside
with found as materialized (
    select 1
    from penstock.aside
    where seq = :seq
    for update skip locked
)
delete from penstock.aside
where seq = :seq and (select count(*) from found) = 1
returning seq

-- name: take_from_suspect
with found as materialized (
    select 1
    from penstock.suspect
    where seq = :seq
    for update skip locked
)
delete from penstock.suspect
where seq = :seq and (select count(*) from found) = 1
returning seq

-- name: expired
-- The oldest, in the order in which their keys are seized.
select o.seq, o.queue, o.task, o.key, o.rank, o.due, o.failures, o.deaths, o.id, o.options
from (
    select m.seq, m.queue, m.task, m.key, m.rank, m.due, m.failures, m.deaths, m.id, m.options
    from penstock.message m
    where m.expires <= :now
        and not exists (
            select 1
            from penstock.leased l
            where l.owner = any (array(select incarnation from penstock.worker)) and l.seq = m.seq
            offset 0
        )
    order by m.expires
    limit :limit
) o
order by o.queue, o.key, o.seq

-- name: forget_expiry
-- What a settle has locked keeps its mark until the next time.
with marked as materialized (
    select seq
    from penstock.message
    where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
    for update skip locked
)
update penstock.message m
set expires = null
from marked
where m.seq = marked.seq

-- name: find_letters
select m.seq, m.id, m.queue, m.options
from penstock.message m
join penstock.dead d on d.seq = m.seq
where m.id = any (array(select jsonb_array_elements_text(:ids::text::jsonb)))
order by m.seq

-- name: find_later
select m.seq, m.id, m.queue
from penstock.message m
join penstock.later l on l.queue = m.queue and l.due = m.due and l.seq = m.seq
where m.id = any (array(select jsonb_array_elements_text(:ids::text::jsonb)))

-- name: leave_later
with found as materialized (
    select l.queue, l.due, l.seq
    from penstock.message m
    join penstock.later l on l.queue = m.queue and l.due = m.due and l.seq = m.seq
    where m.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
    for update of l skip locked
)
delete from penstock.later l
using found
where l.queue = found.queue and l.due = found.due and l.seq = found.seq
returning l.seq

-- name: unbury
-- Two replays of the same letters wait for each other in one order; the second is left with those that the first put back.
with locked as materialized (
    select seq
    from penstock.dead
    where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
    order by seq
    for update
)
delete from penstock.dead d
using locked
where d.seq = locked.seq
returning d.seq, d.queue, d.task, d.reason, d.died, d.attempts, d.error, d.message, d.traceback

-- name: renumber
-- The row itself moves: it keeps its id, and begins anew at the end of its key.
with old as materialized (
    select seq
    from penstock.message
    where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
    order by seq
), moved as materialized (
    select seq, nextval('penstock.message_seq_seq') as place
    from old
)
update penstock.message m
set seq = moved.place,
    due = null,
    expires = null,
    failures = 0,
    deaths = 0,
    ref_topic = null,
    ref = null
from moved
where m.seq = moved.seq
returning m.id, m.seq

-- name: renumber_attempts
with moved as (
    select *
    from unnest(:rows(bigint, bigint)) as r (old, new)
)
update penstock.attempt a
set seq = moved.new
from moved
where a.seq = moved.old

-- name: old_finished
-- Another pruner passes them over: each is counted once.
select f.seq, f.queue, f.ended, (select m.given from penstock.message m where m.seq = f.seq) as given
from penstock.finished f
where f.seq > :after
order by f.seq
limit :limit
for update of f skip locked

-- name: kept
select queue, kept
from penstock.count

-- name: forget_finished
delete from penstock.finished
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: forget_attempts
delete from penstock.attempt
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: forget_messages
delete from penstock.message
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
