-- Workers. Who comes and who leaves take turns, by a lock that each takes first: so what they decide for all, they have seen whole.

-- name: enrol
with turn as materialized (
    select pg_advisory_xact_lock('penstock.worker'::regclass::oid::int, 0) as taken
)
insert into penstock.worker (incarnation, app, name, pid, host, started, beat, lease, queues, tasks, hooks)
select :incarnation, :app, :name, :pid, :host, :now, 0, :lease, :queues, :tasks, :hooks
from turn

-- name: enrol_hooks
insert into penstock.hook (task)
select jsonb_array_elements_text(:hooks::text::jsonb)
on conflict do nothing

-- name: drop_hooks
delete from penstock.hook
where task in (
        select known.value
        from penstock.worker w
        cross join jsonb_array_elements_text(w.tasks::jsonb) known
    )
    and task not in (
        select declared.value
        from penstock.worker w
        cross join jsonb_array_elements_text(w.hooks::jsonb) declared
    )

-- name: beat
update penstock.worker
set beat = beat + 1
where incarnation = :incarnation
returning beat

-- name: others
select incarnation, beat, lease
from penstock.worker
where incarnation <> :incarnation

-- name: declare_dead
delete from penstock.worker
where incarnation = :incarnation and beat = :beat
returning name

-- name: leave
with turn as materialized (
    select pg_advisory_xact_lock('penstock.worker'::regclass::oid::int, 0) as taken
)
delete from penstock.worker
where incarnation = :incarnation and (select count(*) from turn) = 1
returning name

-- name: release_all
-- The keys first, as `release` does: who settles one of them meanwhile has then put aside or ended what it had.
with locked as materialized (
    select 1
    from penstock.busy b
    join (
        select distinct m.queue, m.key
        from penstock.leased l
        cross join lateral (
            select queue, key
            from penstock.message
            where seq = l.seq
            offset 0
        ) m
        where l.owner = :owner and m.key is not null
    ) k on k.queue = b.queue and k.key = b.key
    order by b.queue, b.key
    for update of b
)
delete from penstock.leased
where owner = :owner and (select count(*) from locked) >= 0
returning seq

-- name: facts_of
select seq, id, queue, task, key, failures, deaths, options
from penstock.message
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
order by seq

-- name: drop_all_cancel_requests
delete from penstock.cancel
where owner = :owner
returning seq

-- name: count_deaths
update penstock.message
set deaths = deaths + 1
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: lead
-- The row is the newest one, so the look at its owner must not be from before the wait for it.
insert into penstock.lease as l (role, owner, epoch, until)
values (:role, :owner, 1, :until)
on conflict (role) do update set
    owner = excluded.owner,
    epoch = l.epoch + case when l.owner = excluded.owner then 0 else 1 end,
    until = excluded.until
where l.owner = excluded.owner
    or l.until <= :now
    or not penstock.lives(l.owner)
returning epoch

-- name: worker_tasks
select tasks
from penstock.worker

-- name: make_wishes
insert into penstock.wish (subscription, incarnation, types)
select *
from unnest(:rows(text, bigint, text))

-- name: end_wishes
update penstock.wish
set gone = :now
where incarnation = :incarnation

-- name: forget_wishes
delete from penstock.wish
where gone < :before

-- name: end_orphaned_wishes
update penstock.wish w
set gone = :now
where w.gone is null
    and not exists (select 1 from penstock.worker p where p.incarnation = w.incarnation)

-- name: wanted_by_others
select (a.value ->> 0)::bigint
from jsonb_array_elements(:asked::text::jsonb) a
where exists (
        select 1
        from penstock.wish w
        where w.subscription = a.value ->> 1
            and w.incarnation <> :owner
            and (
                w.gone > :since
                or (w.gone is null and exists (select 1 from penstock.worker p where p.incarnation = w.incarnation))
            )
            and (
                w.types is null
                or exists (select 1 from jsonb_array_elements_text(w.types::jsonb) t where t.value = a.value ->> 2)
            )
    )
    or exists (
        select 1
        from penstock.worker p
        where p.incarnation <> :owner
            and exists (select 1 from jsonb_array_elements_text(p.queues::jsonb) q where q.value = a.value ->> 1)
            and exists (select 1 from jsonb_array_elements_text(p.tasks::jsonb) t where t.value = a.value ->> 1)
            and not exists (
                select 1
                from penstock.wish w
                where w.incarnation = p.incarnation and w.subscription = a.value ->> 1
            )
    )
