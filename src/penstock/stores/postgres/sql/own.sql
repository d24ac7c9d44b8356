-- What only PostgreSQL is asked.

-- name: fold_counters
-- In one statement: who reads sees a delta or its sum. Another fold passes over what this one takes, and waits for it at a queue.
with found as materialized (
    select ctid as place
    from penstock.delta
    limit :limit
    for update skip locked
), taken as (
    delete from penstock.delta d
    using found
    where d.ctid = found.place
    returning d.queue, d.waiting, d.delayed, d.running, d.dead, d.done, d.failed, d.cancelled, d.expired, d.kept
), folded as (
    insert into penstock.counter as c (queue, waiting, delayed, running, dead, done, failed, cancelled, expired, kept)
    select queue, sum(waiting), sum(delayed), sum(running), sum(dead), sum(done), sum(failed), sum(cancelled), sum(expired), sum(kept)
    from taken
    group by queue
    order by queue
    on conflict (queue) do update set
        waiting = c.waiting + excluded.waiting,
        delayed = c.delayed + excluded.delayed,
        running = c.running + excluded.running,
        dead = c.dead + excluded.dead,
        done = c.done + excluded.done,
        failed = c.failed + excluded.failed,
        cancelled = c.cancelled + excluded.cancelled,
        expired = c.expired + excluded.expired,
        kept = c.kept + excluded.kept
)
select count(*)
from taken

-- name: lock_worker
-- A claim or settle of this worker's that is still on its way is waited for.
select 1
from penstock.worker
where incarnation = :owner
for update

-- name: lock_ends
-- What `release` locks, for several of them that follow.
with alive as materialized (
    select 1
    from penstock.worker
    where incarnation = :owner
    for key share
)
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

-- name: leases_of
select seq, claimed
from penstock.leased
where owner = :owner

-- name: oldest_writer
-- Of the transactions that have locked what others may want.
select a.pid, nullif(a.application_name, ''), extract(epoch from me.query_start - a.xact_start)::int
from pg_stat_activity a
join pg_stat_activity me on me.pid = pg_backend_pid()
where a.pid <> pg_backend_pid()
    and exists (
        select 1
        from pg_locks l
        where l.pid = a.pid
            and l.mode = 'RowExclusiveLock'
            and l.relation in (
                'penstock.unique'::regclass,
                'penstock.message'::regclass,
                'penstock.stream'::regclass,
                'penstock.topic'::regclass
            )
    )
order by a.xact_start
limit 1

-- name: wait_for_locks
-- In this transaction, so long for each at the most.
select set_config('lock_timeout', :most, true)

-- name: is_half_copy
select 1
from penstock.meta
where name = 'copy'
