-- Workers.

-- name: enrol
insert into penstock_worker (incarnation, app, name, pid, host, started, beat, lease, queues, tasks)
values (:incarnation, :app, :name, :pid, :host, :now, 0, :lease, :queues, :tasks)

-- name: enrol_hook
insert or ignore into penstock_hook (task)
values (:task)

-- name: drop_hooks
delete from penstock_hook
where task in (select value from json_each(:tasks))

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

-- name: held_by
select m.seq, m.queue, m.task, m.key, m.failures, m.deaths
from penstock_leased l
join penstock_message m on m.seq = l.seq
where l.owner = :owner
order by m.seq

-- name: release_all
delete from penstock_leased
where owner = :owner

-- name: drop_all_cancel_requests
delete from penstock_cancel
where owner = :owner

-- name: free_all_keys
delete from penstock_busy
where owner = :owner
returning queue, key

-- name: count_death
update penstock_message
set deaths = deaths + 1
where seq = :seq

-- name: leader
select owner, epoch, until
from penstock_lease
where role = :role

-- name: lead
insert into penstock_lease (role, owner, epoch, until)
values (:role, :owner, 1, :until)
on conflict (role) do update set
    owner = excluded.owner,
    epoch = epoch + (owner <> excluded.owner),
    until = excluded.until

-- name: worker_tasks
select tasks
from penstock_worker

-- name: id_of
select id
from penstock_message
where seq = :seq
