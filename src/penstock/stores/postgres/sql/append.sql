-- Events. Each statement takes the floor (see `penstock/stores/postgres/floor.py`) before it draws a position: what draws one
-- reads from `floor`, or from what has read from it. In the strict mode it takes the one lock of all appenders before that.

-- name: publish_events
-- Positions are drawn in the order of the events. Chosen ids are inserted in their own order: who waits for another's, and
-- holds some, cannot be waited for by that one.
with host as materialized (
    select case
        when to_regtype(:mark::text) is null and :mark::text is not null then 'foreign'
        when :flushed::boolean and current_setting('synchronous_commit') = 'off' then 'lax'
    end as refuses
), incoming as materialized (
    select *
    from unnest(:rows(text, boolean, boolean, bigint, boolean, text, text, text, bytea, bytea))
        with ordinality as r (topic, versioned, strict, at, given, id, type, key, headers, body, n)
    where (select h.refuses from host h) is null
), alone as materialized (
    select penstock.stand_alone(r.strict) as taken
    from incoming r
    where r.n = 1
), held as materialized (
    select penstock.own_floor() as floor
    from alone
), floor as materialized (
    select penstock.hold_floor(h.floor) as taken
    from held h
), drawn as materialized (
    select nextval('penstock.event_pos') as pos, o.*
    from (
        select t.number, r.*
        from floor
        cross join incoming r
        join penstock.topic t on t.name = r.topic and t.versioned = r.versioned
        order by r.n
    ) o
), kept as (
    insert into penstock.event (pos, topic, at, given, id, type, key, headers, body)
    select d.pos, d.number, d.at, d.given, d.id, d.type, d.key, d.headers, d.body
    from drawn d
    order by case when d.given then d.id end, d.n
    on conflict (topic, id) do nothing
    returning topic, id
)
select k.id, null as refuses
from incoming r
join penstock.topic t on t.name = r.topic and t.versioned = r.versioned
left join kept k on k.topic = t.number
where r.n = 1
union all
select null, refuses
from host
where refuses is not null

-- name: append_events
-- What is asked of a key is looked up by the key, once the row of the key is locked.
with host as materialized (
    select case
        when to_regtype(:mark::text) is null and :mark::text is not null then 'foreign'
        when :flushed::boolean and current_setting('synchronous_commit') = 'off' then 'lax'
    end as refuses
), incoming as materialized (
    select *
    from unnest(:rows(text, boolean, bigint, text, bigint, int, int, text, text, boolean, text, text, bytea, bytea))
        with ordinality as r (topic, strict, at, key, expected, size, number, last, beyond, given, id, type, headers, body, n)
    where (select h.refuses from host h) is null
), alone as materialized (
    select penstock.stand_alone(r.strict) as taken
    from incoming r
    where r.n = 1
), held as materialized (
    select penstock.own_floor() as floor
    from alone
), floor as materialized (
    select penstock.hold_floor(h.floor) as taken
    from held h
), asked as materialized (
    select t.number as topic, r.key, r.expected, r.size, r.last, r.beyond, case when r.given then r.id end as first
    from floor
    cross join incoming r
    join penstock.topic t on t.name = r.topic and t.versioned
    where r.number = 1
), by_key as materialized (
    select jsonb_object_agg(a.key, jsonb_build_array(a.expected, a.first)) as asked
    from asked a
), moved as (
    insert into penstock.stream as s (topic, key, version)
    select a.topic, a.key, a.size
    from asked a
    where coalesce(a.expected, 0) = 0 or penstock.version_of(a.topic, a.key) is not null
    order by a.key
    on conflict (topic, key) do update set version = s.version + excluded.version
    where s.version = coalesce(((select k.asked from by_key k) -> excluded.key ->> 0)::bigint, s.version)
        and penstock.version_at(s.topic, (select k.asked from by_key k) -> excluded.key ->> 1) is null
    returning s.topic, s.key, s.version
), kept as (
    insert into penstock.event (topic, at, version, given, id, type, key, headers, body)
    select m.topic, r.at, m.version - r.size + r.number, r.given, r.id, r.type, r.key, r.headers, r.body
    from moved m
    join incoming r on r.key = m.key
    order by r.n
)
select
    a.key,
    m.version,
    case when m.key is null then penstock.version_of(a.topic, a.key) end as actual,
    case when m.key is null and a.first is not null then penstock.version_at(a.topic, a.first) end as first,
    case when m.key is null and a.first is not null then penstock.version_at(a.topic, a.last) end as last,
    case when m.key is null and a.first is not null then penstock.version_at(a.topic, a.beyond) end as beyond,
    null as refuses
from asked a
left join moved m on m.key = a.key
union all
select null, null, null, null, null, null, refuses
from host
where refuses is not null

-- name: append_event
-- One event, of an id that nobody chose. No version, and nothing refused: it has to be asked for the long way, by append_events.
-- `heard`: somebody has subscribed to the topic.
select version, heard, refuses
from penstock.append_event(
    :mark, :flushed, :strict, :topic, :now, :key, :expected, :id, :type, :headers, :body
)
