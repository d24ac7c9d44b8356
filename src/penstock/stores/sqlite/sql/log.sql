-- Topics and their events.

-- name: topic
select number, next, first, versioned, retention, retention_max
from penstock_topic
where name = :name

-- name: declare_topic
insert into penstock_topic (name, versioned, retention, retention_max, next, first)
values (:name, :versioned, :retention, :retention_max, 1, 1)
on conflict (name) do update set
    retention = coalesce(excluded.retention, penstock_topic.retention),
    retention_max = coalesce(excluded.retention_max, penstock_topic.retention_max)
where versioned = excluded.versioned
returning number, versioned

-- name: events_of_key
select e.place & 1099511627775, e.id, e.type, e.body, e.at, e.key, e.version, e.headers
from penstock_topic t
cross join penstock_event e
where t.name = :topic
    and e.topic = t.number
    and e.key = :key
    and e.version between :first and :last
    and e.at <= :until
order by e.version
limit :limit

-- name: events_of_key_backward
select e.place & 1099511627775, e.id, e.type, e.body, e.at, e.key, e.version, e.headers
from penstock_topic t
cross join penstock_event e
where t.name = :topic
    and e.topic = t.number
    and e.key = :key
    and e.version between :first and :last
    and e.at <= :until
order by e.version desc
limit :limit

-- name: events
select place & 1099511627775, id, type, body, at, key, version, headers
from penstock_event
where place > :after and place < :end
order by place
limit :limit

-- name: event_at
select place, at
from penstock_event
where place >= :place and place < :end
order by place
limit 1

-- name: aged_topics
select t.number, t.first, t.next, t.retention, t.retention_max, coalesce(
    (
        select min(s.cursor)
        from penstock_subscription s
        where s.topic = t.number
    ),
    t.next - 1
)
from penstock_topic t
where t.retention is not null or t.retention_max is not null

-- name: oldest_events
select place, at, given
from penstock_event
where place >= :place and place < :end
order by place
limit :limit

-- name: forget_events
delete from penstock_event
where place between :first and :last

-- name: move_first
update penstock_topic
set first = :first
where number = :number

-- name: topics
select t.name, t.versioned, t.first, t.next - 1, t.retention, t.retention_max, (
    select e.at
    from penstock_event e
    where e.place = (t.number << 40) + t.next - 1
)
from penstock_topic t
order by t.name
