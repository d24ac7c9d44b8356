-- Forgetting events.

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

-- name: subscriptions_of
select name, cursor, generation
from penstock_subscription
where topic = :topic

-- name: remember_missed
insert into penstock_missed (subscription, first, last, at)
values (:name, :first, :last, :now)

-- name: skip_to
update penstock_subscription
set cursor = :cursor
where name = :name and cursor < :cursor

-- name: embody_fed
update penstock_message
set body = e.body, headers = e.headers, ref = null
from penstock_event e
where e.place between :first and :last
    and penstock_message.id in (e.id || :mark, e.id || :mark || '#' || (e.place & 1099511627775))
    and penstock_message.ref = e.place
    and not exists (
        select 1
        from penstock_finished f
        where f.seq = penstock_message.seq
    )

-- name: forget_events
delete from penstock_event
where place between :first and :last

-- name: move_first
update penstock_topic
set first = :first
where number = :number
