-- Keys: held, freed, woken.

-- name: free_keys
with locked as materialized (
    select queue, key
    from penstock.busy
    where last = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))) and owner = :owner
    order by queue, key
    for update
)
delete from penstock.busy b
using locked
where b.queue = locked.queue and b.key = locked.key
returning b.queue, b.key

-- name: free_all_keys
with locked as materialized (
    select queue, key
    from penstock.busy
    where owner = :owner
    order by queue, key
    for update
)
delete from penstock.busy b
using locked
where b.queue = locked.queue and b.key = locked.key
returning b.queue, b.key

-- name: wake_heads
-- Moves them itself, so that nothing is in two places: the first of a key or none, and none that somebody else is moving.
with freed as materialized (
    select *
    from unnest(:rows(text, text)) as r (queue, key)
), heads as materialized (
    select a.seq
    from freed
    cross join lateral (
        select seq
        from penstock.aside
        where queue = freed.queue and key = freed.key
        order by seq
        limit 1
    ) first
    join penstock.aside a on a.seq = first.seq
    where a.stray is null
        and not exists (select 1 from penstock.busy b where b.queue = freed.queue and b.key = freed.key)
    for update of a skip locked
), gone as (
    delete from penstock.aside a
    using heads
    where a.seq = heads.seq
    returning a.queue, a.rank, a.seq, a.key
)
insert into penstock.ready (queue, rank, seq, key)
select queue, rank, seq, key
from gone
returning seq

-- name: hold_key
with held as materialized (
    select *
    from unnest(:rows(text, text, bigint)) as r (queue, key, seq)
), locked as materialized (
    select b.queue, b.key, held.seq
    from held
    join penstock.busy b on b.queue = held.queue and b.key = held.key
    order by b.queue, b.key
    for update of b
)
update penstock.busy b
set last = locked.seq, owner = null
from locked
where b.queue = locked.queue and b.key = locked.key

-- name: seize_key
-- Where it changes nothing, it has still locked the row: until we are done nobody else moves messages of the key.
insert into penstock.busy as b (queue, key, last, owner)
values (:queue, :key, 0, null)
on conflict (queue, key) do update set owner = null
where b.owner is null and b.last = :seq
returning last

-- name: vacate
delete from penstock.busy
where queue = :queue and key = :key and owner is null

-- name: put_aside
insert into penstock.aside (seq, queue, key, rank, stray)
select seq, queue, key, rank, null
from penstock.message
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
on conflict (seq) do update set stray = excluded.stray

-- name: leave_aside
delete from penstock.aside
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
