-- Where a message is, is its state: ready, later, aside, suspect, leased, finished or dead; each a small table of its own.
-- penstock_message holds what does not move.

create table penstock_meta (
    name text primary key,
    value not null
) without rowid;

create table penstock_clock (
    boot text primary key,
    shift integer not null,   -- store time = shift + time since boot, µs
    floor integer not null    -- store time is never below it
) without rowid;

create table penstock_message (
    seq integer primary key autoincrement,
    id text not null,
    queue text not null,
    task text not null,
    rank integer not null,    -- 9 - priority: the lower, the sooner
    key text,
    due integer,
    expires integer,
    enqueued integer not null,
    failures integer not null default 0,
    deaths integer not null default 0,
    given integer not null default 0,
    headers blob,
    options blob,
    body blob not null
);

create unique index penstock_message_id on penstock_message (id);

create index penstock_message_expires on penstock_message (expires) where expires is not null;

create table penstock_ready (
    queue text not null,
    rank integer not null,
    seq integer not null,
    key text,
    primary key (queue, rank, seq)
) without rowid;

create index penstock_ready_key on penstock_ready (queue, key, seq) where key is not null;

create table penstock_later (
    queue text not null,
    due integer not null,
    seq integer not null,
    primary key (queue, due, seq)
) without rowid;

-- Met by a claim and not runnable: behind a busy key, or (stray) of a task that the claiming process did not know.
create table penstock_aside (
    seq integer primary key,
    queue text not null,
    key text,
    rank integer not null,
    stray text
);

create index penstock_aside_key on penstock_aside (queue, key, seq) where key is not null;

create index penstock_aside_stray on penstock_aside (queue, stray, rank, seq) where stray is not null;

create table penstock_suspect (
    seq integer primary key,
    queue text not null,
    rank integer not null
);

-- A key that runs (owner), or that waits for a retry of its message `last` (no owner).
create table penstock_busy (
    queue text not null,
    key text not null,
    last integer not null,
    owner integer,
    primary key (queue, key)
) without rowid;

create unique index penstock_busy_last on penstock_busy (last);

create table penstock_leased (
    owner integer not null,
    seq integer not null,
    claimed integer not null,
    primary key (owner, seq)
) without rowid;

create table penstock_cancel (
    owner integer not null,
    seq integer not null,
    primary key (owner, seq)
) without rowid;

create table penstock_finished (
    seq integer primary key,
    queue text not null,
    outcome text not null,    -- done, cancelled, expired
    ended integer not null,
    attempt integer not null,
    owner integer,
    result blob,
    note text
);

create table penstock_dead (
    seq integer primary key,
    queue text not null,
    task text not null,
    reason text not null,
    died integer not null,
    attempts integer not null,
    error text,
    message text,
    traceback text
);

-- What happened to a message besides ending well.
create table penstock_attempt (
    n integer primary key,
    seq integer not null,
    number integer not null,
    what text not null,
    at integer not null,
    owner text,
    error text,
    message text,
    traceback text
);

create index penstock_attempt_seq on penstock_attempt (seq);

create table penstock_counter (
    queue text primary key,
    waiting integer not null default 0,
    delayed integer not null default 0,
    running integer not null default 0,
    dead integer not null default 0,
    done integer not null default 0,
    failed integer not null default 0,
    cancelled integer not null default 0,
    expired integer not null default 0,
    kept integer not null default 0    -- rows of this queue in penstock_finished
) without rowid;

create table penstock_worker (
    incarnation integer primary key,
    app text not null,
    name text not null,
    pid integer not null,
    host text not null,
    started integer not null,
    beat integer not null,
    lease integer not null,   -- µs that its beat may stand still
    queues text not null,
    tasks text not null,
    hooks text not null       -- those of its tasks that have an on_dead hook
);

create table penstock_hook (
    task text primary key
) without rowid;

create table penstock_setting (
    scope text not null,
    name text not null,
    value text not null,
    by text not null,
    at integer not null,
    primary key (scope, name)
) without rowid;

create table penstock_lease (
    role text primary key,
    owner integer not null,
    epoch integer not null,
    until integer not null
) without rowid;
