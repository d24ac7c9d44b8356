-- Events. Each statement takes the floor (see `penstock/stores/postgres/floor.py`) before it draws a position: what draws one
-- reads from `floor`, or from what has read from it. With `alone` it takes the one lock of the strict mode before that.

-- name: declare_topic
insert into penstock.topic as t (name, versioned, retention, retention_max)
values (:name, :versioned, :retention, :retention_max)
on conflict (name) do update set
    retention = coalesce(excluded.retention, t.retention),
    retention_max = coalesce(excluded.retention_max, t.retention_max)
where t.versioned = excluded.versioned
returning t.number, t.versioned

-- name: publish_events
with incoming as materialized (
    select *
    from unnest(:rows(text, boolean, bigint, boolean, text, text, text, bytea, bytea))
        with ordinality as r (topic, alone, at, given, id, type, key, headers, body, n)
), alone as materialized (
    select case when r.alone then pg_advisory_xact_lock('penstock.event_pos'::regclass::oid::int, 0) end as taken
    from incoming r
    where r.n = 1
), held as materialized (
    select least(
        nullif(current_setting('penstock_floor.of_' || 'penstock.event_pos'::regclass::oid, true), '')::bigint,
        coalesce(pg_sequence_last_value('penstock.event_pos'), 0)
    ) as floor
    from alone
), floor as materialized (
    select
        pg_advisory_xact_lock_shared((16384 | 'penstock.event_pos'::regclass::oid::bigint & 16383) << 48 | h.floor) as taken,
        set_config('penstock_floor.of_' || 'penstock.event_pos'::regclass::oid, h.floor::text, true) as noted
    from held h
), kept as (
    insert into penstock.event (topic, at, given, id, type, key, headers, body)
    select t.number, r.at, r.given, r.id, r.type, r.key, r.headers, r.body
    from floor
    cross join incoming r
    join penstock.topic t on t.name = r.topic and not t.versioned
    order by r.n
    on conflict (topic, id) do nothing
    returning topic, id
)
select k.id
from incoming r
join penstock.topic t on t.name = r.topic and not t.versioned
left join kept k on k.topic = t.number
where r.n = 1

-- name: append_events
with incoming as materialized (
    select *
    from unnest(:rows(text, boolean, bigint, text, bigint, int, int, text, text, boolean, text, text, bytea, bytea))
        with ordinality as r (topic, alone, at, key, expected, size, number, last, beyond, given, id, type, headers, body, n)
), alone as materialized (
    select case when r.alone then pg_advisory_xact_lock('penstock.event_pos'::regclass::oid::int, 0) end as taken
    from incoming r
    where r.n = 1
), held as materialized (
    select least(
        nullif(current_setting('penstock_floor.of_' || 'penstock.event_pos'::regclass::oid, true), '')::bigint,
        coalesce(pg_sequence_last_value('penstock.event_pos'), 0)
    ) as floor
    from alone
), floor as materialized (
    select
        pg_advisory_xact_lock_shared((16384 | 'penstock.event_pos'::regclass::oid::bigint & 16383) << 48 | h.floor) as taken,
        set_config('penstock_floor.of_' || 'penstock.event_pos'::regclass::oid, h.floor::text, true) as noted
    from held h
), asked as materialized (
    select t.number as topic, r.key, r.expected, r.size, r.last, r.beyond, case when r.given then r.id end as first
    from floor
    cross join incoming r
    join penstock.topic t on t.name = r.topic and t.versioned
    where r.number = 1
), moved as (
    insert into penstock.stream as s (topic, key, version)
    select a.topic, a.key, a.size
    from asked a
    where coalesce(a.expected, 0) = 0
        or exists (select 1 from penstock.stream s where s.topic = a.topic and s.key = a.key)
    order by a.key
    on conflict (topic, key) do update set version = s.version + excluded.version
    where exists (
        select 1
        from asked a
        where a.key = excluded.key
            and (a.expected is null or a.expected = s.version)
            and (a.first is null or penstock.version_at(s.topic, a.first) is null)
    )
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
    case when m.key is null and a.first is not null then penstock.version_at(a.topic, a.beyond) end as beyond
from asked a
left join moved m on m.key = a.key
