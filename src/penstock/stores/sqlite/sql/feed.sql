-- Subscriptions: what they are fed, and what becomes of it.

-- name: register_subscription
insert into penstock_subscription (name, topic, app, types, hold, cursor, generation, since)
select :name, t.number, :app, :types, :hold, case when :from_now then t.next - 1 else t.first - 1 end,
    coalesce((select g.next from penstock_generation g where g.subscription = :name), 0), :since
from penstock_topic t
where t.name = :topic
on conflict (name) do update set
    app = excluded.app,
    types = case
        when exists (
            select 1
            from penstock_worker w
            join json_each(w.tasks) k on k.value = :name
        ) then (
            select case when count(*) = count(u.value) and count(*) > 0 then json_group_array(distinct u.value) end
            from (
                select value
                from json_each(coalesce(excluded.types, '[null]'))
                union all
                select value
                from json_each(coalesce(penstock_subscription.types, '[null]'))
            ) u
        )
        else excluded.types
    end,
    hold = excluded.hold
where topic = excluded.topic
returning topic

-- name: embody
update penstock_message
set body = e.body, headers = e.headers, ref = null
from penstock_event e
where e.place = penstock_message.ref and penstock_message.seq in (select value from json_each(:seqs))

-- name: embody_begun
update penstock_message
set body = e.body, headers = e.headers, ref = null
from penstock_event e
where e.place = penstock_message.ref
    and penstock_message.seq in (
        select l.seq
        from penstock_worker w
        cross join penstock_leased l on l.owner = w.incarnation
        join penstock_message m on m.seq = l.seq
        where m.queue = :queue
        union all
        select seq
        from penstock_ready
        where queue = :queue
        union all
        select seq
        from penstock_later
        where queue = :queue
        union all
        select seq
        from penstock_aside
        where queue = :queue and key is not null
        union all
        select seq
        from penstock_aside
        where queue = :queue and stray is not null
        union all
        select seq
        from penstock_suspect
        where queue = :queue
    )

-- name: seek
update penstock_subscription
set generation = generation + 1, cursor = (
    select max(t.first - 1, min(:cursor, t.next - 1))
    from penstock_topic t
    where t.number = penstock_subscription.topic
)
where name = :name
returning generation

-- name: drop_subscription
delete from penstock_subscription
where name = :name
returning generation

-- name: set_generation
insert into penstock_generation (subscription, next)
values (:name, :next)
on conflict (subscription) do update set next = max(next, excluded.next)

-- name: drop_missed
delete from penstock_missed
where subscription = :name

-- name: drop_ready
delete from penstock_ready
where queue = :queue and exists (
    select 1
    from penstock_message m
    where m.seq = penstock_ready.seq
        and m.type is not null
        and not exists (select 1 from penstock_attempt a where a.seq = m.seq)
)
returning seq, key

-- name: drop_strays
delete from penstock_aside
where queue = :queue and stray is not null and exists (
    select 1
    from penstock_message m
    where m.seq = penstock_aside.seq
        and m.type is not null
        and not exists (select 1 from penstock_attempt a where a.seq = m.seq)
)
returning seq, key

-- name: drop_aside
delete from penstock_aside
where queue = :queue and key is not null and exists (
    select 1
    from penstock_message m
    where m.seq = penstock_aside.seq
        and m.type is not null
        and not exists (select 1 from penstock_attempt a where a.seq = m.seq)
)
returning seq, key

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
select s.name, t.name, s.app, s.types, s.hold, s.cursor, t.next - 1, s.generation, t.next - 1 - s.cursor,
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
