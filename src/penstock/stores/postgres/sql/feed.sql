-- Subscriptions: what they are fed, and what becomes of it.

-- name: register_subscription
insert into penstock.subscription as s (name, topic, app, types, hold, cursor, generation, since)
select :name, t.number, :app, :types, :hold,
    case when :from_now then penstock.place_in(t.number, 9223372036854775807) else t.first - 1 end,
    coalesce((select g.next from penstock.generation g where g.subscription = :name), 0), :since
from penstock.topic t
where t.name = :topic
on conflict (name) do update set
    app = excluded.app,
    types = case
        when exists (
            select 1
            from penstock.worker w
            where w.tasks::jsonb @> to_jsonb(excluded.name)
        ) then (
            select case when count(*) = count(u.value) and count(*) > 0 then jsonb_agg(distinct u.value)::text end
            from (
                select value
                from jsonb_array_elements_text(coalesce(excluded.types, '[null]')::jsonb)
                union all
                select value
                from jsonb_array_elements_text(coalesce(s.types, '[null]')::jsonb)
            ) u
        )
        else excluded.types
    end,
    hold = excluded.hold
where s.topic = excluded.topic
returning topic

-- name: embody
-- Letters that a settle buries, which are its own: whoever else has locked one waits for nothing.
update penstock.message m
set body = e.body, headers = e.headers, ref_topic = null, ref = null
from (
    select r.seq, e.*
    from penstock.message r
    cross join lateral (
        select headers, body
        from penstock.event
        where topic = r.ref_topic and pos = r.ref
        offset 0
    ) e
    where r.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
) e
where m.seq = e.seq

-- name: embody_begun
-- What others have locked gets its copy when its event is forgotten.
with begun as materialized (
    select l.seq
    from penstock.leased l
    cross join lateral (
        select queue
        from penstock.message
        where seq = l.seq
        offset 0
    ) m
    where l.owner = any (array(select incarnation from penstock.worker)) and m.queue = :queue
    union all
    select seq
    from penstock.ready
    where queue = :queue
    union all
    select seq
    from penstock.later
    where queue = :queue
    union all
    select seq
    from penstock.aside
    where queue = :queue and key is not null
    union all
    select seq
    from penstock.aside
    where queue = :queue and stray is not null
    union all
    select seq
    from penstock.suspect
    where queue = :queue
), locked as materialized (
    select m.seq, e.body, e.headers
    from penstock.message m
    cross join lateral (
        select headers, body
        from penstock.event
        where topic = m.ref_topic and pos = m.ref
        offset 0
    ) e
    where m.seq = any (array(select seq from begun))
    for update of m skip locked
)
update penstock.message m
set body = locked.body, headers = locked.headers, ref_topic = null, ref = null
from locked
where m.seq = locked.seq

-- name: seek
-- A trim that is under way is waited for.
update penstock.subscription
set generation = generation + 1, cursor = penstock.place_in(topic, :cursor)
where name = :name and penstock.share_topic(topic)
returning generation

-- name: drop_subscription
delete from penstock.subscription
where name = :name
returning generation

-- name: set_generation
insert into penstock.generation as g (subscription, next)
values (:name, :next)
on conflict (subscription) do update set next = greatest(g.next, excluded.next)

-- name: drop_missed
delete from penstock.missed
where subscription = :name

-- name: drop_ready
-- Waits for claims: what they put aside is found there. They wait for keys meanwhile, so no key is held here yet.
with found as materialized (
    select r.ctid as place
    from penstock.ready r
    cross join lateral (
        select type
        from penstock.message
        where seq = r.seq
        offset 0
    ) m
    where r.queue = :queue
        and m.type is not null
        and not exists (select 1 from penstock.attempt t where t.seq = r.seq offset 0)
    for update of r
)
delete from penstock.ready
where ctid = any (array(select place from found))
returning seq, key

-- name: drop_strays
-- From here on all keys of the queue are held: nobody wakes one whose messages are being dropped. Strays that a claim has
-- locked are passed over, for it may be waiting for a key.
with held as materialized (
    select 1
    from penstock.busy
    where queue = :queue
    order by key
    for update
), found as materialized (
    select a.ctid as place
    from penstock.aside a
    cross join lateral (
        select type
        from penstock.message
        where seq = a.seq
        offset 0
    ) m
    where a.queue = :queue
        and a.stray is not null
        and m.type is not null
        and not exists (select 1 from penstock.attempt t where t.seq = a.seq offset 0)
        and (select count(*) from held) >= 0
    for update of a skip locked
)
delete from penstock.aside
where ctid = any (array(select place from found))
returning seq, key

-- name: drop_aside
-- Not of a key that was taken since.
with held as materialized (
    select key
    from penstock.busy
    where queue = :queue
    for update skip locked
), found as materialized (
    select a.ctid as place
    from penstock.aside a
    cross join lateral (
        select type
        from penstock.message
        where seq = a.seq
        offset 0
    ) m
    where a.queue = :queue
        and a.key is not null
        and m.type is not null
        and not exists (select 1 from penstock.attempt t where t.seq = a.seq offset 0)
        and (
            a.key in (select key from held)
            or not exists (select 1 from penstock.busy b where b.queue = :queue and b.key = a.key)
        )
    for update of a skip locked
)
delete from penstock.aside
where ctid = any (array(select place from found))
returning seq, key

-- name: holding_queues
select name
from penstock.subscription
where hold and name in (select jsonb_array_elements_text(:queues::text::jsonb))

-- name: held_letters
select b.last, b.queue, b.key
from penstock.busy b
where b.last = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))) and b.owner is null

-- name: reset_failures
update penstock.message
set failures = 0, deaths = 0
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: subscriptions
-- Positions have gaps, so what is not fed is counted, up to 100,000.
select s.name, t.name, s.app, s.types, s.hold, s.cursor, penstock.head_of(t.number), s.generation,
    (
        select count(*)
        from (
            select 1
            from penstock.event e
            where e.topic = s.topic and e.pos > s.cursor
            order by e.pos
            limit 100000
        ) behind
    ),
    (
        select e.at
        from penstock.event e
        where e.topic = s.topic and e.pos > s.cursor
        order by e.pos
        limit 1
    ),
    coalesce(
        (
            select sum(m.events)::bigint
            from penstock.missed m
            where m.subscription = s.name
        ),
        0
    )
from penstock.subscription s
join penstock.topic t on t.number = s.topic
order by s.name
