-- Topics and their events.

-- name: declare_topic
insert into penstock.topic as t (name, versioned, retention, retention_max)
values (:name, :versioned, :retention, :retention_max)
on conflict (name) do update set
    retention = coalesce(excluded.retention, t.retention),
    retention_max = coalesce(excluded.retention_max, t.retention_max)
where t.versioned = excluded.versioned
returning number, versioned

-- name: events_of_key
-- A limit of -1 is none.
select e.pos, e.id, e.type, e.body, e.at, e.key, e.version, e.headers
from penstock.topic t
join penstock.event e on e.topic = t.number
where t.name = :topic
    and e.key = :key
    and e.version between :first and :last
    and e.at <= :until
order by e.version
limit nullif(:limit::bigint, -1)

-- name: events_of_key_backward
select e.pos, e.id, e.type, e.body, e.at, e.key, e.version, e.headers
from penstock.topic t
join penstock.event e on e.topic = t.number
where t.name = :topic
    and e.key = :key
    and e.version between :first and :last
    and e.at <= :until
order by e.version desc
limit nullif(:limit::bigint, -1)

-- name: newest_events
select e.pos, e.id, e.type, e.body, e.at, e.key, e.version, e.headers
from penstock.event e
where e.topic = (select t.number from penstock.topic t where t.name = :topic)
order by e.pos desc
limit :limit

-- name: topics
-- Positions have gaps, so events are counted, up to 100,000.
select t.name, t.versioned, coalesce(o.pos, penstock.head_of(t.number) + 1) as first, penstock.head_of(t.number), t.retention, t.retention_max,
    (
        select count(*)
        from (
            select 1
            from penstock.event e
            where e.topic = t.number and e.pos >= t.first
            order by e.pos
            limit 100000
        ) counted
    ),
    (
        select e.at
        from penstock.event e
        where e.topic = t.number
        order by e.pos desc
        limit 1
    )
from penstock.topic t
left join lateral (
    select e.pos
    from penstock.event e
    where e.topic = t.number and e.pos >= t.first
    order by e.pos
    limit 1
) o on true
order by t.name
