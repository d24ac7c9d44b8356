-- From the log into the queues of subscriptions.

-- name: subscription
select s.topic, t.next, s.types, s.cursor, s.generation, coalesce(c.waiting, 0)
from penstock_subscription s
join penstock_topic t on t.number = s.topic
left join penstock_counter c on c.queue = s.name
where s.name = :name

-- name: could_run
select count(*)
from (
    select 1
    from penstock_ready
    where queue = :queue
    limit :limit
)

-- name: feed
insert into penstock_message (id, queue, task, rank, key, enqueued, body, type, ref)
select
    e.id || :mark || case
        when e.given and exists (select 1 from penstock_message m where m.id = e.id || :mark) then '#' || (e.place & 1099511627775)
        else ''
    end,
    :queue, :queue, :rank, e.key, e.at, x'', e.type, e.place
from penstock_event e
where e.place > :after
    and e.place <= :upto
    and (:types is null or e.type in (select value from json_each(:types)))
order by e.place

-- name: move_cursor
update penstock_subscription
set cursor = :cursor
where name = :name and cursor = :was and generation = :generation
returning cursor
