-- Workers.

-- name: enrol
insert into penstock_worker (incarnation, app, name, pid, host, started, beat, lease, queues, tasks, hooks)
values (:incarnation, :app, :name, :pid, :host, :now, 0, :lease, :queues, :tasks, :hooks)

-- name: enrol_hooks
insert or ignore into penstock_hook (task)
select value
from json_each(:hooks)

-- name: drop_hooks
delete from penstock_hook
where task in (
        select known.value
        from penstock_worker w
        join json_each(w.tasks) known
    )
    and task not in (
        select declared.value
        from penstock_worker w
        join json_each(w.hooks) declared
    )

-- name: beat
update penstock_worker
set beat = beat + 1
where incarnation = :incarnation
returning beat

-- name: others
select incarnation, beat, lease
from penstock_worker
where incarnation <> :incarnation

-- name: declare_dead
delete from penstock_worker
where incarnation = :incarnation and beat = :beat
returning name

-- name: leave
delete from penstock_worker
where incarnation = :incarnation
returning name

-- name: release_all
delete from penstock_leased
where owner = :owner
returning seq

-- name: facts_of
select seq, id, queue, task, key, cast(failures as integer), cast(deaths as integer), cast(options as blob)
from penstock_message
where seq in (select value from json_each(:seqs))
order by seq

-- name: drop_all_cancel_requests
delete from penstock_cancel
where owner = :owner
returning seq

-- name: count_deaths
update penstock_message
set deaths = deaths + 1
where seq in (select value from json_each(:seqs))

-- name: lead
insert into penstock_lease (role, owner, epoch, until)
values (:role, :owner, 1, :until)
on conflict (role) do update set
    owner = excluded.owner,
    epoch = penstock_lease.epoch + case when penstock_lease.owner = excluded.owner then 0 else 1 end,
    until = excluded.until
where penstock_lease.owner = excluded.owner
    or penstock_lease.until <= :now
    or not exists (select 1 from penstock_worker w where w.incarnation = penstock_lease.owner)
returning epoch

-- name: worker_tasks
select tasks
from penstock_worker

-- name: make_wishes
insert into penstock_wish (subscription, incarnation, types)
values :rows

-- name: end_wishes
update penstock_wish
set gone = :now
where incarnation = :incarnation

-- name: forget_wishes
delete from penstock_wish
where gone < :before

-- name: end_orphaned_wishes
update penstock_wish
set gone = :now
where gone is null
    and not exists (select 1 from penstock_worker p where p.incarnation = penstock_wish.incarnation)

-- name: wanted_by_others
select json_extract(a.value, '$[0]')
from json_each(:asked) a
where exists (
        select 1
        from penstock_wish w
        where w.subscription = json_extract(a.value, '$[1]')
            and w.incarnation <> :owner
            and (
                w.gone > :since
                or (w.gone is null and exists (select 1 from penstock_worker p where p.incarnation = w.incarnation))
            )
            and (
                w.types is null
                or exists (select 1 from json_each(w.types) t where t.value = json_extract(a.value, '$[2]'))
            )
    )
    or exists (
        select 1
        from penstock_worker p
        where p.incarnation <> :owner
            and exists (select 1 from json_each(p.queues) q where q.value = json_extract(a.value, '$[1]'))
            and exists (select 1 from json_each(p.tasks) t where t.value = json_extract(a.value, '$[1]'))
            and not exists (
                select 1
                from penstock_wish w
                where w.incarnation = p.incarnation and w.subscription = json_extract(a.value, '$[1]')
            )
    )
