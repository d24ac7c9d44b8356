-- Subscriptions: what they are fed, and what becomes of it.

-- name: register_subscription
insert into penstock_subscription (name, topic, app, types, hold, cursor, generation, since)
select :name, t.number, :app, :types, :hold, case when :from_now then t.next - 1 else t.first - 1 end, 0, :since
from penstock_topic t
where t.name = :topic
on conflict (name) do update set
    app = excluded.app,
    types = excluded.types,
    hold = excluded.hold
where topic = excluded.topic
returning topic

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
select e.id || :mark, :queue, :queue, :rank, e.key, e.at, x'', e.type, e.place
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

-- name: embody
update penstock_message
set body = e.body, headers = e.headers, ref = null
from penstock_event e
where e.place = penstock_message.ref and penstock_message.seq in (select value from json_each(:seqs))

-- name: embody_fed
update penstock_message
set body = e.body, headers = e.headers, ref = null
from penstock_event e
where e.place between :first and :last
    and penstock_message.id = e.id || :mark
    and penstock_message.ref = e.place
    and not exists (
        select 1
        from penstock_finished f
        where f.seq = penstock_message.seq
    )

-- name: subscriptions_of
select name, cursor, generation
from penstock_subscription
where topic = :topic

-- name: skip_to
update penstock_subscription
set cursor = :cursor
where name = :name and cursor < :cursor

-- name: remember_missed
insert into penstock_missed (subscription, first, last, at)
values (:name, :first, :last, :now)

-- name: seek
update penstock_subscription
set cursor = :cursor, generation = generation + 1
where name = :name
returning generation

-- name: running_of
select l.seq
from penstock_worker w
cross join penstock_leased l on l.owner = w.incarnation
join penstock_message m on m.seq = l.seq
where m.queue = :queue

-- name: drop_ready
delete from penstock_ready
where queue = :queue
returning seq

-- name: drop_later_all
delete from penstock_later
where queue = :queue
returning seq

-- name: drop_aside
delete from penstock_aside
where queue = :queue and key is not null
returning seq

-- name: drop_strays
delete from penstock_aside
where queue = :queue and stray is not null
returning seq

-- name: drop_suspects
delete from penstock_suspect
where queue = :queue
returning seq

-- name: free_waiting_keys
delete from penstock_busy
where queue = :queue
    and owner is null
    and not exists (
        select 1
        from penstock_dead d
        where d.seq = penstock_busy.last
    )

-- name: holding_queues
select name
from penstock_subscription
where hold and name in (select value from json_each(:queues))

-- name: held_letters
select b.last, b.queue, b.key
from json_each(:seqs) s
join penstock_busy b on b.last = s.value
where b.owner is null

-- name: reset_failures
update penstock_message
set failures = 0, deaths = 0
where seq in (select value from json_each(:seqs))

-- name: subscriptions
select s.name, t.name, s.app, s.types, s.hold, s.cursor, t.next - 1, s.generation,
    (
        select e.at
        from penstock_event e
        where e.place > (t.number << 40) + s.cursor and e.place < (t.number + 1) << 40
        order by e.place
        limit 1
    ),
    coalesce(
        (
            select sum(m.last - m.first + 1)
            from penstock_missed m
            where m.subscription = s.name
        ),
        0
    )
from penstock_subscription s
join penstock_topic t on t.number = s.topic
order by s.name
