-- Forgetting events: `penstock/stores/postgres/trimming.py`.

-- name: aged_topics
-- Those whose oldest event may go by its age, the most overdue first.
select t.number
from penstock.topic t
cross join lateral (
    select e.at, e.given
    from penstock.event e
    where e.topic = t.number and e.pos >= t.first
    order by e.pos
    limit 1
) o
where o.at < :now - least(t.retention, t.retention_max) and not (o.given and o.at > :known_since)
order by o.at + least(t.retention, t.retention_max)

-- name: take_topic
select case
    when :waits then pg_advisory_xact_lock('penstock.event_pos'::regclass::oid::int, :topic) is not null
    else pg_try_advisory_xact_lock('penstock.event_pos'::regclass::oid::int, :topic)
end

-- name: topic_to_trim
-- None if somebody is declaring it.
select t.first, t.retention, t.retention_max, (
    select min(s.cursor)
    from penstock.subscription s
    where s.topic = t.number
)
from penstock.topic t
where t.number = :topic
for no key update skip locked

-- name: oldest_events
select pos, at, given
from penstock.event
where topic = :topic and pos >= :first and pos <= :upto
order by pos
limit :limit

-- name: embody_fed
-- Whoever has locked one is not waited for.
with locked as materialized (
    select m.seq, e.body, e.headers
    from penstock.message m
    cross join lateral (
        select headers, body
        from penstock.event
        where topic = m.ref_topic and pos = m.ref
        offset 0
    ) e
    where m.ref_topic = :topic
        and m.ref between :first and :last
        and not exists (select 1 from penstock.finished f where f.seq = m.seq)
    for update of m skip locked
)
update penstock.message m
set body = locked.body, headers = locked.headers, ref_topic = null, ref = null
from locked
where m.seq = locked.seq

-- name: still_referred
select min(m.ref)
from penstock.message m
where m.ref_topic = :topic
    and m.ref between :first and :last
    and not exists (select 1 from penstock.finished f where f.seq = m.seq)

-- name: pass_over
-- What subscriptions have not read is written down, and they go on behind it.
with behind as materialized (
    select s.name, greatest(s.cursor + 1, :first) as first
    from penstock.subscription s
    where s.topic = :topic and s.cursor < :last
    order by s.name
    for update
), missed as (
    insert into penstock.missed (subscription, first, last, events, at)
    select b.name, b.first, :last, (
        select count(*)
        from penstock.event e
        where e.topic = :topic and e.pos between b.first and :last
    ), :now
    from behind b
)
update penstock.subscription s
set cursor = :last
from behind b
where s.name = b.name

-- name: forget_events
with gone as (
    delete from penstock.event
    where topic = :topic and pos between :first and :last
    returning 1
), moved as (
    update penstock.topic
    set first = :last + 1
    where number = :topic
)
select count(*)
from gone
