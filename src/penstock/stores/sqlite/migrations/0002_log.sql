-- Topics: facts, to be read by many. What a subscription has to handle is a message that points at its event (`ref`).

create table penstock_topic (
    number integer primary key,
    name text not null unique,
    versioned integer not null,
    retention integer,        -- µs; null: kept for ever
    retention_max integer,    -- µs; older ones go even if somebody has not read them
    next integer not null,    -- position of the next event
    first integer not null    -- position of the oldest that is still there
);

create table penstock_event (
    place integer primary key,    -- topic << 40 | position: events of a topic lie together, in their order
    topic integer not null,
    id text not null,
    type text not null,
    key text,
    version integer,              -- in its key; only in versioned topics
    at integer not null,
    given integer not null,       -- a caller chose the id: it is remembered for a while
    headers blob,
    body blob not null
);

create unique index penstock_event_id on penstock_event (id, topic);

create unique index penstock_event_version on penstock_event (topic, key, version) where version is not null;

create table penstock_subscription (
    name text primary key,        -- also its queue, and the task of what it is fed
    topic integer not null,
    app text not null,
    types text,                   -- a JSON list; null: all
    hold integer not null,        -- a dead letter keeps its key
    cursor integer not null,      -- position that was fed last
    generation integer not null,  -- how often it was sought
    since integer not null
) without rowid;

create index penstock_subscription_topic on penstock_subscription (topic);

-- Events that went by age before a subscription had read them.
create table penstock_missed (
    n integer primary key,
    subscription text not null,
    first integer not null,
    last integer not null,
    at integer not null
);

create index penstock_missed_subscription on penstock_missed (subscription);

alter table penstock_message add column type text;

alter table penstock_message add column ref integer;
