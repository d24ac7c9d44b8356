-- Unique names, progress, and who waits for an end.

create table penstock_unique (
    name text primary key,    -- task/name
    job text not null,
    taken integer not null,
    ends integer not null,    -- of its window, if it has one; else as taken
    held integer not null     -- 0: the job let it go, and only the window holds it
) without rowid;

create index penstock_unique_over on penstock_unique (ends) where held = 0;

create table penstock_progress (
    seq integer primary key,
    fraction real not null,
    note text not null,
    at integer not null
);

create table penstock_watch (
    seq integer not null,
    bell text not null,       -- the socket to ring when it has ended
    job text not null,
    primary key (seq, bell)
) without rowid;
