-- Topics: facts, to be read by many. Why the feed neither loses nor reorders them: `penstock/stores/postgres/floor.py`.

-- One for all topics: a role that may not create anything can still declare a topic. The feed needs the cache to be 1.
create sequence penstock.event_pos as bigint cache 1;

create table penstock.topic (
    number int generated always as identity primary key,
    name text not null unique,
    versioned boolean not null,
    retention bigint,                  -- µs; null: kept for ever
    retention_max bigint,              -- µs; older ones go even if somebody has not read them
    first bigint not null default 1    -- no event below this position is there any more
);

create table penstock.event (
    pos bigint not null default nextval('penstock.event_pos'),
    topic int not null,
    at bigint not null,
    version bigint,                    -- in its key; only in versioned topics
    given boolean not null,            -- a caller chose the id: it is remembered for a while
    id text not null,
    type text not null,
    key text,
    headers bytea,
    body bytea not null,
    primary key (topic, pos)
)
with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02);

create unique index event_id on penstock.event (topic, id);

create unique index event_version on penstock.event (topic, key, version) where version is not null;

-- The keys of versioned topics. An append holds its key's row until its transaction ends; the version is in no index, and
-- half of each page is left free, so that an update is heap-only.
create table penstock.stream (
    topic int not null,
    key text not null,
    version bigint not null,
    primary key (topic, key)
)
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- Two looks that an append takes inside its statement, at what has been committed since it began: `volatile` says so.
create function penstock.version_of(topic int, key text) returns bigint
language sql volatile
as 'select s.version from penstock.stream s where s.topic = $1 and s.key = $2';

create function penstock.version_at(topic int, id text) returns bigint
language sql volatile
as 'select e.version from penstock.event e where e.topic = $1 and e.id = $2';
