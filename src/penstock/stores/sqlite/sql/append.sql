-- Places for events, and the events themselves.

-- name: advance_topic
update penstock_topic
set next = next + :count
where name = :name and versioned = :versioned
returning number, next - :count

-- name: known_events
select e.id, e.version
from penstock_topic t
cross join penstock_event e
where t.name = :topic and e.topic = t.number and e.id in (select value from json_each(:ids))

-- name: append_events
insert into penstock_event (place, topic, id, type, key, version, at, given, headers, body)
values :rows

-- name: versions
select k.value, (
    select max(e.version)
    from penstock_event e
    where e.topic = t.number and e.key = k.value and e.version is not null
)
from penstock_topic t
cross join json_each(:keys) k
where t.name = :topic
