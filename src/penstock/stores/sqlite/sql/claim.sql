-- Leasing messages to a worker. SQLite keeps values of any type: what somebody else wrote is cast, so that it holds up no one.

-- name: glance
select
    q.key,
    (select min(due) from penstock_later where queue = q.value and due < 9e18),
    exists (select 1 from penstock_aside where queue = q.value and stray is not null),
    exists (select 1 from penstock_ready where queue = q.value),
    exists (select 1 from penstock_suspect),
    exists (select 1 from penstock_limit) or exists (select 1 from penstock_setting where scope like 'queue:%')
from penstock_worker w
left join json_each(:queues) q
where w.incarnation = :owner

-- name: next_due
select min(due)
from penstock_later
where queue = :queue and due < 9e18

-- name: due_now
select due, seq
from penstock_later
where queue = :queue and due <= :now
order by due, seq
limit :limit

-- name: promote
insert into penstock_ready (queue, rank, seq, key)
select queue, rank, seq, key
from penstock_message
where seq in (select value from json_each(:seqs))

-- name: drop_later
delete from penstock_later
where queue = :queue and (due, seq) <= (:due, :seq)

-- name: scan_ready
select m.seq, m.id, m.task, m.key, cast(m.failures as integer), cast(m.deaths as integer), cast(m.expires as integer), m.enqueued,
    coalesce(e.headers, cast(m.headers as blob)), cast(m.options as blob),
    coalesce(e.body, cast(m.body as blob)), m.type, r.rank
from penstock_ready r
join penstock_message m on m.seq = r.seq
left join penstock_event e on e.place = m.ref
where r.queue = :queue
order by r.rank, r.seq
limit :limit

-- name: leave_ready
delete from penstock_ready
where queue = :queue and (rank, seq) <= (:rank, :seq)

-- name: leave_ready_some
delete from penstock_ready
where (queue, rank, seq) in (
    select m.queue, m.rank, m.seq
    from json_each(:seqs) s
    join penstock_message m on m.seq = s.value
)

-- name: put_stray
insert or replace into penstock_aside (seq, queue, key, rank, stray)
select m.seq, m.queue, m.key, m.rank, m.task
from json_each(:seqs) s
join penstock_message m on m.seq = s.value

-- name: busy_key
select last, owner
from penstock_busy
where queue = :queue and key = :key

-- name: run_of_key
select m.seq, m.id, m.task, m.key, cast(m.failures as integer), cast(m.deaths as integer), cast(m.expires as integer), m.enqueued,
    coalesce(e.headers, cast(m.headers as blob)), cast(m.options as blob),
    coalesce(e.body, cast(m.body as blob)), m.type, w.place
from (
    select seq, place from (
        select seq, 'ready' as place
        from penstock_ready
        where queue = :queue and key = :key
        order by seq
        limit :limit
    )
    union all
    select seq, place from (
        select seq, 'aside' as place
        from penstock_aside
        where queue = :queue and key = :key
        order by seq
        limit :limit
    )
    order by seq
    limit :limit
) w
join penstock_message m on m.seq = w.seq
left join penstock_event e on e.place = m.ref
order by m.seq

-- name: occupy
insert into penstock_busy (queue, key, last, owner)
values :rows
on conflict (queue, key) do update set last = excluded.last, owner = excluded.owner

-- name: lease
insert into penstock_leased (owner, seq, claimed)
select :owner, value, :claimed
from json_each(:seqs)

-- name: strays
with recursive met(stray) as (
    select min(stray)
    from penstock_aside
    where queue = :queue and stray is not null
    union all
    select (
        select min(a.stray)
        from penstock_aside a
        where a.queue = :queue and a.stray > met.stray
    )
    from met
    where met.stray is not null
)
select stray
from met
where stray is not null

-- name: known_strays
select seq
from penstock_aside
where queue = :queue and stray = :task
order by rank, seq
limit :limit

-- name: suspect_waits
select 1
from penstock_suspect
where queue = :queue
limit 1

-- name: holds_of
select 1
from penstock_leased l
cross join penstock_message m on m.seq = l.seq
where l.owner = :owner and m.queue = :queue
limit 1

-- name: scan_suspect
select m.seq, m.id, m.task, m.key, cast(m.failures as integer), cast(m.deaths as integer), cast(m.expires as integer), m.enqueued,
    coalesce(e.headers, cast(m.headers as blob)), cast(m.options as blob),
    coalesce(e.body, cast(m.body as blob)), m.type, s.rank
from penstock_suspect s
join penstock_message m on m.seq = s.seq
left join penstock_event e on e.place = m.ref
where s.queue = :queue and m.task in (select value from json_each(:tasks))
order by s.rank, s.seq
limit 1

-- name: put_suspect
insert or ignore into penstock_suspect (seq, queue, rank)
select seq, queue, rank
from penstock_message
where seq = :seq

-- name: leave_suspect
delete from penstock_suspect
where seq = :seq

-- name: any_ready
select 1
from penstock_ready
where queue = :queue
limit 1
