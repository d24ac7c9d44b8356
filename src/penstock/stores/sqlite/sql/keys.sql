-- Keys: held, freed, woken.

-- name: free_keys
delete from penstock_busy
where last in (select value from json_each(:seqs)) and owner = :owner
returning queue, key

-- name: free_all_keys
delete from penstock_busy
where owner = :owner
returning queue, key

-- name: wake_heads
with freed (queue, key) as (values :rows)
insert into penstock_ready (queue, rank, seq, key)
select a.queue, a.rank, a.seq, a.key
from freed
join penstock_aside a on a.seq = (
    select seq
    from penstock_aside
    where queue = freed.queue and key = freed.key
    order by seq
    limit 1
)
where a.stray is null
    and not exists (select 1 from penstock_busy b where b.queue = freed.queue and b.key = freed.key)
returning seq

-- name: hold_key
with held (queue, key, seq) as (values :rows)
update penstock_busy
set last = held.seq, owner = null
from held
where penstock_busy.queue = held.queue and penstock_busy.key = held.key

-- name: seize_key
insert into penstock_busy (queue, key, last, owner)
values (:queue, :key, 0, null)
on conflict (queue, key) do update set owner = null
where penstock_busy.owner is null and penstock_busy.last = :seq
returning last

-- name: vacate
delete from penstock_busy
where queue = :queue and key = :key and owner is null

-- name: put_aside
insert or replace into penstock_aside (seq, queue, key, rank, stray)
select m.seq, m.queue, m.key, m.rank, null
from json_each(:seqs) s
join penstock_message m on m.seq = s.value

-- name: leave_aside
delete from penstock_aside
where seq in (select value from json_each(:seqs))
