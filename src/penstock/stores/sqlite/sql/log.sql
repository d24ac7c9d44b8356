-- Topics and their events.

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

-- name: newest_events
select e.place & 1099511627775, e.id, e.type, e.body, e.at, e.key, e.version, e.headers
from penstock_topic t
cross join penstock_event e
where t.name = :topic and e.place > t.number << 40 and e.place < t.number + 1 << 40
order by e.place desc
limit :limit

-- name: topics
select t.name, t.versioned, t.first, t.next - 1, t.retention, t.retention_max, t.next - t.first, (
    select e.at
    from penstock_event e
    where e.place = (t.number << 40) + t.next - 1
)
from penstock_topic t
order by t.name
