-- The calendar. penstock_schedule is what runs; the other two are who says so: definitions, the newest with the highest
-- generation, and which of them each live worker declares.

create table penstock_schedule (
    app text not null,
    name text not null,
    digest text not null,
    definition blob not null,
    anchor integer not null,    -- `every` counts from it
    next integer,               -- the slot that fires next; null: none comes any more
    live integer not null,      -- a live worker declares it
    lapsed integer,             -- since when workers of its app live, and none declares it
    slot integer,               -- the last that fired
    fired integer,
    job text,
    primary key (app, name)
) without rowid;

create index penstock_schedule_next on penstock_schedule (next) where live = 1;

create table penstock_definition (
    app text not null,
    name text not null,
    digest text not null,
    generation integer not null,
    definition blob not null,
    primary key (app, name, digest)
) without rowid;

create table penstock_declaration (
    incarnation integer not null,
    app text not null,
    name text not null,
    digest text not null,
    primary key (incarnation, app, name)
) without rowid;

create index penstock_declaration_name on penstock_declaration (app, name, digest);
