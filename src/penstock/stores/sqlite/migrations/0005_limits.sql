-- Limits of queues over all workers. What operators say is in penstock_setting, and how many run in penstock_counter.

-- What the code says: by the worker that started last.
create table penstock_limit (
    queue text not null,
    name text not null,       -- concurrency, rate
    value text not null,      -- JSON
    app text not null,
    primary key (queue, name)
) without rowid;

-- The token bucket of a rate, as the last claim that took something left it.
create table penstock_bucket (
    queue text primary key,
    rate text not null,
    level integer not null,
    at integer not null
) without rowid;
