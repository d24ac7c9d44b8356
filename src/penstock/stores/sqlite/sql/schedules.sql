-- The calendar.

-- name: definitions_of
select name, digest, generation
from penstock_definition
where app = :app

-- name: keep_definitions
insert into penstock_definition (app, name, digest, generation, definition)
values :rows

-- name: forget_definitions
delete from penstock_definition
where app = :app
    and generation < :oldest
    and not exists (
        select 1
        from penstock_declaration d
        where d.app = penstock_definition.app and d.name = penstock_definition.name and d.digest = penstock_definition.digest
    )

-- name: declare_schedules
insert into penstock_declaration (incarnation, app, name, digest)
values :rows

-- name: drop_declarations
delete from penstock_declaration
where not exists (select 1 from penstock_worker w where w.incarnation = penstock_declaration.incarnation)

-- name: changed_schedules
select f.app, f.name, f.digest, f.definition, s.definition, s.next, s.anchor, s.lapsed
from penstock_definition f
left join penstock_schedule s on s.app = f.app and s.name = f.name
where (s.name is null or s.live = 0 or s.digest <> f.digest)
    and exists (
        select 1
        from penstock_declaration d
        where d.app = f.app and d.name = f.name and d.digest = f.digest
    )
    and not exists (
        select 1
        from penstock_declaration d
        join penstock_definition g on g.app = d.app and g.name = d.name and g.digest = d.digest
        where d.app = f.app and d.name = f.name and g.generation > f.generation
    )

-- name: set_schedules
insert into penstock_schedule (app, name, digest, definition, anchor, next, live)
values :rows
on conflict (app, name) do update set
    digest = excluded.digest,
    definition = excluded.definition,
    anchor = excluded.anchor,
    next = excluded.next,
    live = excluded.live,
    lapsed = null

-- name: end_schedules
update penstock_schedule
set live = 0
where live = 1
    and not exists (
        select 1
        from penstock_declaration d
        where d.app = penstock_schedule.app and d.name = penstock_schedule.name
    )

-- name: lapse_schedules
update penstock_schedule
set lapsed = :now
where live = 0
    and lapsed is null
    and exists (select 1 from penstock_worker w where w.app = penstock_schedule.app)

-- name: next_slot
select next
from penstock_schedule
where live = 1
    and next is not null
    and (app, name, digest) not in (select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') from json_each(:without))
order by next
limit 1

-- name: crew
select incarnation
from penstock_worker
order by incarnation

-- name: any_schedule
select 1
from penstock_schedule
limit 1

-- name: due_schedules
select s.app, s.definition, s.digest, s.next, s.anchor,
    exists (
        select 1
        from penstock_setting p
        where p.scope = 'schedule:' || s.name || '@' || s.app and p.name = 'paused'
    )
from penstock_schedule s
where s.live = 1
    and s.next <= :now
    and (s.app, s.name, s.digest) not in (select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') from json_each(:without))
order by s.next
limit :limit

-- name: move_schedule
update penstock_schedule
set next = :next,
    slot = coalesce(:slot, slot),
    fired = coalesce(:fired, fired),
    job = coalesce(:job, job)
where app = :app and name = :name and digest = :digest and next = :seen and live = 1
    and (
        :slot is null
        or not exists (select 1 from penstock_setting p where p.scope = :scope and p.name = 'paused')
    )
returning name

-- name: schedules
select s.app, s.definition, s.live, s.lapsed is not null, s.next, s.slot, s.fired, s.job,
    exists (
        select 1
        from penstock_setting p
        where p.scope = 'schedule:' || s.name || '@' || s.app and p.name = 'paused'
    )
from penstock_schedule s
order by s.app, s.name

-- name: schedule
select definition, next, anchor
from penstock_schedule
where app = :app and name = :name

-- name: ran_schedule
update penstock_schedule
set fired = :now,
    job = :job
where app = :app and name = :name

-- name: unpause_schedule
delete from penstock_setting
where scope = :scope and name = 'paused'
returning name

-- name: set_next_slot
update penstock_schedule
set next = :next
where app = :app and name = :name
