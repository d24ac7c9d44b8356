-- Events by their places.

-- name: topic
select number, next, first, versioned, retention, retention_max
from penstock_topic
where name = :name

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
