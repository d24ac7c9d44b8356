-- The calendar. penstock.schedule is what runs; the other two are who says so: definitions, the newest with the highest
-- generation, and which of them each live worker declares.

create table penstock.schedule (
    app text collate "C" not null,
    name text collate "C" not null,
    digest text collate "C" not null,
    definition bytea not null,
    anchor bigint not null,    -- `every` counts from it
    next bigint,               -- the slot that fires next; null: none comes any more
    live boolean not null,     -- a live worker declares it
    lapsed bigint,             -- since when workers of its app live, and none declares it
    slot bigint,               -- the last that fired
    fired bigint,
    job text collate "C",
    primary key (app, name)
) with (fillfactor = 70);

create index schedule_next on penstock.schedule (next) where live;

create table penstock.definition (
    app text collate "C" not null,
    name text collate "C" not null,
    digest text collate "C" not null,
    generation integer not null,
    definition bytea not null,
    primary key (app, name, digest)
);

create table penstock.declaration (
    incarnation bigint not null,
    app text collate "C" not null,
    name text collate "C" not null,
    digest text collate "C" not null,
    primary key (incarnation, app, name)
);

create index declaration_name on penstock.declaration (app, name, digest);

-- What is known of an app once it is one's turn to declare: `volatile`, so as not to look from before the wait for it.
create function penstock.definitions_of(app text) returns table (name text, digest text, generation integer)
language sql volatile
as 'select d.name, d.digest, d.generation from penstock.definition d where d.app = $1';
