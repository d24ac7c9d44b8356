-- The calendar. Who declares and who reviews take turns, by a lock that each takes first; who fires takes no turn, and passes over
-- what a review has locked: it is still due afterwards.

-- name: definitions_of
with turn as materialized (
    select :app::text as app, pg_advisory_xact_lock('penstock.schedule'::regclass::oid::int, 0) as taken
)
select d.name, d.digest, d.generation
from turn
cross join lateral penstock.definitions_of(turn.app) d

-- name: keep_definitions
insert into penstock.definition (app, name, digest, generation, definition)
select *
from unnest(:rows(text, text, text, int, bytea))

-- name: forget_definitions
delete from penstock.definition f
where f.app = :app
    and f.generation < :oldest
    and not exists (
        select 1
        from penstock.declaration d
        where d.app = f.app and d.name = f.name and d.digest = f.digest
    )

-- name: declare_schedules
insert into penstock.declaration (incarnation, app, name, digest)
select *
from unnest(:rows(bigint, text, text, text))

-- name: drop_declarations
with turn as materialized (
    select pg_advisory_xact_lock('penstock.schedule'::regclass::oid::int, 0) as taken
)
delete from penstock.declaration d
where (select count(*) from turn) = 1
    and not exists (select 1 from penstock.worker w where w.incarnation = d.incarnation)

-- name: changed_schedules
-- Locked before they are looked at: a slot that fires meanwhile is not brought back.
with held as materialized (
    select app, name, digest, definition, next, anchor, live, lapsed
    from penstock.schedule
    order by app, name
    for update
)
select f.app, f.name, f.digest, f.definition, s.definition, s.next, s.anchor, s.lapsed
from penstock.definition f
left join held s on s.app = f.app and s.name = f.name
where (s.name is null or not s.live or s.digest <> f.digest)
    and exists (
        select 1
        from penstock.declaration d
        where d.app = f.app and d.name = f.name and d.digest = f.digest
    )
    and not exists (
        select 1
        from penstock.declaration d
        join penstock.definition g on g.app = d.app and g.name = d.name and g.digest = d.digest
        where d.app = f.app and d.name = f.name and g.generation > f.generation
    )

-- name: set_schedules
insert into penstock.schedule (app, name, digest, definition, anchor, next, live)
select *
from unnest(:rows(text, text, text, bytea, bigint, bigint, boolean))
on conflict (app, name) do update set
    digest = excluded.digest,
    definition = excluded.definition,
    anchor = excluded.anchor,
    next = excluded.next,
    live = excluded.live,
    lapsed = null

-- name: end_schedules
update penstock.schedule s
set live = false
where s.live
    and not exists (
        select 1
        from penstock.declaration d
        where d.app = s.app and d.name = s.name
    )

-- name: lapse_schedules
update penstock.schedule s
set lapsed = :now
where not s.live
    and s.lapsed is null
    and exists (select 1 from penstock.worker w where w.app = s.app)

-- name: next_slot
select s.next
from penstock.schedule s
where s.live
    and s.next is not null
    and not exists (
        select 1
        from jsonb_array_elements(:without::text::jsonb) o
        where o.value ->> 0 = s.app and o.value ->> 1 = s.name and o.value ->> 2 = s.digest
    )
order by s.next
limit 1

-- name: crew
select incarnation
from penstock.worker
order by incarnation

-- name: any_schedule
select 1
from penstock.schedule
limit 1

-- name: due_schedules
select s.app, s.definition, s.digest, s.next, s.anchor,
    exists (
        select 1
        from penstock.setting p
        where p.scope = 'schedule:' || s.name || '@' || s.app and p.name = 'paused'
    )
from penstock.schedule s
where s.live
    and s.next <= :now
    and not exists (
        select 1
        from jsonb_array_elements(:without::text::jsonb) o
        where o.value ->> 0 = s.app and o.value ->> 1 = s.name and o.value ->> 2 = s.digest
    )
order by s.next
limit :limit

-- name: move_schedule
with found as materialized (
    select s.app, s.name
    from penstock.schedule s
    where s.app = :app and s.name = :name and s.digest = :digest and s.next = :seen and s.live
        and (
            :slot::bigint is null
            or not exists (select 1 from penstock.setting p where p.scope = :scope and p.name = 'paused')
        )
    for update of s skip locked
)
update penstock.schedule s
set next = :next,
    slot = coalesce(:slot, s.slot),
    fired = coalesce(:fired, s.fired),
    job = coalesce(:job, s.job)
from found
where s.app = found.app and s.name = found.name
returning s.name

-- name: schedules
select s.app, s.definition, s.live, s.lapsed is not null, s.next, s.slot, s.fired, s.job,
    exists (
        select 1
        from penstock.setting p
        where p.scope = 'schedule:' || s.name || '@' || s.app and p.name = 'paused'
    )
from penstock.schedule s
order by s.app, s.name

-- name: schedule
select definition, next, anchor
from penstock.schedule
where app = :app and name = :name

-- name: ran_schedule
update penstock.schedule
set fired = :now,
    job = :job
where app = :app and name = :name

-- name: unpause_schedule
delete from penstock.setting
where scope = :scope and name = 'paused'
returning name

-- name: set_next_slot
update penstock.schedule
set next = :next
where app = :app and name = :name
