-- From the log into the queues of subscriptions.

-- name: subscription
-- The locks and counts only if there is something to feed. What is asked for first is in an order, here and below, because a plan
-- that expects to meet one of many soon goes through the whole table when there is none.
with s as materialized (
    select s.name, s.topic, s.cursor, s.generation, (
        select e.pos
        from penstock.event e
        where e.topic = s.topic and e.pos > s.cursor
        order by e.pos
        limit 1
    ) is not null as behind
    from penstock.subscription s
    where s.name = :name
)
select
    s.topic,
    s.cursor,
    s.generation,
    s.behind,
    case
        when s.behind and (select c.waiting from penstock.count c where c.queue = s.name) >= :ahead then (
            select count(*)
            from (
                select 1
                from penstock.ready r
                where r.queue = s.name
                order by r.rank, r.seq
                limit :ahead
            ) could_run
        ) >= :ahead
        else false
    end,
    z.last,
    z.floor,
    z.standby,
    z.isolation,
    case when s.behind then penstock.share_topic(s.topic) end
from s
cross join penstock.settled z

-- name: feed
-- The cursor moves past all that were looked at, whatever their types. The types are those of the row as it is when it is locked.
with span as materialized (
    select e.pos, e.id, e.type, e.key, e.at, e.given
    from penstock.event e
    where e.topic = :topic and e.pos > :cursor and e.pos <= :upto
    order by e.pos
    limit :limit
), moved as (
    update penstock.subscription s
    set cursor = (select max(pos) from span)
    where s.name = :name and s.cursor = :cursor and s.generation = :generation and exists (select 1 from span)
    returning s.name, s.topic, s.cursor, s.types
), wanted as materialized (
    select w.type
    from moved m
    cross join jsonb_array_elements_text(m.types::jsonb) w (type)
), fed as (
    insert into penstock.message (id, queue, task, rank, key, enqueued, body, type, ref_topic, ref)
    select
        e.id || :mark::text || case
            when e.given and exists (select 1 from penstock.message m where m.id = e.id || :mark::text) then '#' || e.pos
            else ''
        end,
        m.name, m.name, :rank, e.key, e.at, ''::bytea, e.type, m.topic, e.pos
    from moved m
    cross join span e
    where m.types is null or e.type in (select w.type from wanted w)
    order by e.pos
    returning queue, rank, seq, key
), ready as (
    insert into penstock.ready (queue, rank, seq, key)
    select queue, rank, seq, key
    from fed
), counted as (
    insert into penstock.delta (queue, waiting)
    select queue, count(*)
    from fed
    group by queue
)
select
    (select count(*) from span),
    (select count(*) from moved),
    (select count(*) from fed),
    (
        select e.pos
        from penstock.event e
        where e.topic = :topic and e.pos > (select max(pos) from span) and e.pos <= :upto
        order by e.pos
        limit 1
    ) is not null
