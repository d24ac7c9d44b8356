-- Topics: facts, to be read by many. Why the feed neither loses nor reorders them: `penstock/stores/postgres/floor.py`.

-- One for all topics: a role that may not create anything can still declare a topic. The feed needs the cache to be 1.
create sequence penstock.event_pos as bigint cache 1;

create table penstock.topic (
    number int generated always as identity primary key,    -- from 1
    name text collate "C" not null unique,
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
    id text collate "C" not null,
    type text not null,
    key text collate "C",
    headers bytea,
    body bytea not null,
    primary key (topic, pos)
)
with (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02);

-- By the id first: of a topic that is new to the statistics, this must not look as good as the primary key.
create unique index event_id on penstock.event (id, topic);

create unique index event_version on penstock.event (topic, key, version) where version is not null;

-- The keys of versioned topics. An append holds its key's row until its transaction ends; the version is in no index, and
-- half of each page is left free, so that an update is heap-only.
create table penstock.stream (
    topic int not null,
    key text collate "C" not null,
    version bigint not null,
    primary key (topic, key)
)
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- Its cursor moves with each feed, and is in no index.
create table penstock.subscription (
    name text collate "C" primary key,    -- also its queue, and the task of what it is fed
    topic int not null,
    app text collate "C" not null,
    types text,                           -- a JSON list; null: all
    hold boolean not null,                -- a dead letter keeps its key
    cursor bigint not null,               -- position that was fed last
    generation int not null,              -- how often it was sought
    since bigint not null
)
with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

create index subscription_topic on penstock.subscription (topic);

-- Events that went by age before a subscription had read them.
create table penstock.missed (
    n bigint generated always as identity primary key,
    subscription text collate "C" not null,
    first bigint not null,
    last bigint not null,
    events bigint not null,    -- between these: positions have gaps
    at bigint not null
);

create index missed_subscription on penstock.missed (subscription);

-- Where a subscription that was dropped goes on should it come back.
create table penstock.generation (
    subscription text collate "C" primary key,
    next int not null          -- ids of the generations before it may still be in the store
);

-- Who points at an event that is to be forgotten.
create index message_ref on penstock.message (ref_topic, ref) where ref is not null;

-- Two looks that an append takes inside its statement, at what has been committed since it began: `volatile` says so.
create function penstock.version_of(topic int, key text) returns bigint
language plpgsql volatile
set enable_seqscan = off
as 'begin return (select s.version from penstock.stream s where s.topic = $1 and s.key = $2); end';

create function penstock.version_at(topic int, id text) returns bigint
language plpgsql volatile
set enable_seqscan = off
as 'begin return (select e.version from penstock.event e where e.topic = $1 and e.id = $2); end';

-- The floor. These are expressions, so that they become part of the statements that call them, and cost no call.

create function penstock.floor_key(floor bigint) returns bigint
language sql stable
return (16384 | ('penstock.event_pos'::regclass::oid::bigint & 16383)) << 48 | floor;

-- In the strict mode: one appender at a time.
create function penstock.stand_alone(strict boolean) returns boolean
language sql volatile
return case when strict then pg_advisory_xact_lock('penstock.event_pos'::regclass::oid::int, 0) is not null end;

-- The one that this transaction holds, else the newest.
create function penstock.own_floor() returns bigint
language sql volatile
return least(
    nullif(current_setting('penstock_floor.of_' || 'penstock.event_pos'::regclass::oid, true), '')::bigint,
    coalesce(pg_sequence_last_value('penstock.event_pos'), 0)
);

-- First the lock, then the note of it.
create function penstock.hold_floor(floor bigint) returns text
language sql volatile
return case
    when pg_advisory_xact_lock_shared(penstock.floor_key(floor)) is not null
        then set_config('penstock_floor.of_' || 'penstock.event_pos'::regclass::oid, floor::text, true)
end;

-- One event, of an id that nobody chose. Statements one after the other, so the floor is held before the position is drawn; planned once
-- a session. `version` null: nothing was done, it has to be asked for the long way. The first write of a transaction, mostly its only
-- one, takes no note of its floor; the second one does, so that no transaction holds more than two. In a user's session nobody has
-- forbidden a plan that reads all keys, so there the key is looked for by who may not.
create function penstock.append_event(
    mark text, flushed boolean, strict boolean, topic text, now bigint, key text, expected bigint,
    id text, type text, headers bytea, body bytea,
    out version bigint, out heard boolean, out refuses text
)
language plpgsql volatile
as '
declare
    number int;
begin
    if $1 is not null then
        if to_regtype($1) is null then
            refuses := ''foreign'';
            return;
        end if;
        if $2 and current_setting(''synchronous_commit'') = ''off'' then
            refuses := ''lax'';
            return;
        end if;
    end if;
    if $3 then
        perform penstock.stand_alone($3);
    end if;
    if pg_current_xact_id_if_assigned() is null
        and nullif(current_setting(''penstock_floor.of_'' || ''penstock.event_pos''::regclass::oid, true), '''') is null
    then
        perform pg_advisory_xact_lock_shared(penstock.floor_key(coalesce(pg_sequence_last_value(''penstock.event_pos''), 0)));
    else
        perform penstock.hold_floor(penstock.own_floor());
    end if;
    select t.number, exists (select 1 from penstock.subscription s where s.topic = t.number)
    into number, heard
    from penstock.topic t
    where t.name = $4 and t.versioned;
    if number is null then
        return;
    end if;
    if $7 > 0 and $1 is null then
        update penstock.stream s
        set version = s.version + 1
        where s.topic = number and s.key = $6 and s.version = $7
        returning s.version into version;
    elsif coalesce($7, 0) = 0 or penstock.version_of(number, $6) is not null then
        insert into penstock.stream as s (topic, key, version)
        values (number, $6, 1)
        on conflict on constraint stream_pkey do update set version = s.version + 1
        where s.version = coalesce($7, s.version)
        returning s.version into version;
    end if;
    if version is not null then
        insert into penstock.event (topic, at, version, given, id, type, key, headers, body)
        values (number, $5, version, false, $8, $9, $6, $10, $11);
    end if;
end';

create view penstock.held_floor as
select (l.classid::bigint & 65535) << 32 | l.objid::bigint as floor, l.pid, l.virtualtransaction
from pg_locks l
where l.locktype = 'advisory'
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.objsubid = 1
    and l.classid::bigint >> 16 = penstock.floor_key(0) >> 48
    and l.granted;

-- The look of who reads. The lowest floor depends on the last position, so that it is looked for after that was read.
create view penstock.settled as
with l as materialized (
    select coalesce(pg_sequence_last_value('penstock.event_pos'), 0) as last
)
select
    l.last,
    (select min(h.floor) from penstock.held_floor h where h.floor <= l.last) as floor,
    pg_is_in_recovery() as standby,
    current_setting('transaction_isolation') as isolation
from l;

-- The newest event that is to be seen of a topic, or the last one that was forgotten.
create function penstock.head_of(topic int) returns bigint
language sql stable
as '
    select greatest(t.first - 1, (select max(e.pos) from penstock.event e where e.topic = $1))
    from penstock.topic t
    where t.number = $1
';

-- Where a subscription goes on that wants to go on behind a position: not before the oldest event, and skipping nothing that is
-- not committed yet. So not beyond what is settled, for who has a floor, and not beyond what is to be seen, for who has none,
-- since there positions are committed in their order.
create function penstock.place_in(topic int, wanted bigint) returns bigint
language sql volatile
as '
    select greatest(t.first - 1, least($2, coalesce(s.floor, s.last), penstock.head_of(t.number)))
    from penstock.settled s
    cross join penstock.topic t
    where t.number = $1
';

-- Feeds and seeks share it, and who trims has it alone: `penstock/stores/postgres/trimming.py`.
create function penstock.share_topic(topic int) returns boolean
language sql volatile
return pg_advisory_xact_lock_shared('penstock.event_pos'::regclass::oid::int, topic) is not null;
