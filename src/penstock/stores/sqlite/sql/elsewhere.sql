-- Jobs of a worker's tasks that wait in queues which are not its own.

-- name: queues_set_aside
select c.queue
from penstock_worker w
cross join penstock_counter c
where w.incarnation = :incarnation
    and c.waiting > 0
    and c.queue not in (select value from json_each(w.queues))
    and (
        exists (
            select 1
            from json_each(w.tasks) t
            cross join penstock_aside a on a.queue = c.queue and a.stray = t.value
        )
        or exists (
            select 1
            from penstock_suspect s
            cross join penstock_message m on m.seq = s.seq
            where s.queue = c.queue and m.task in (select value from json_each(w.tasks))
        )
    )

-- name: queues_unserved
select c.queue
from penstock_counter c
where c.waiting + c.delayed > 0
    and c.queue not in (
        select served.value
        from penstock_worker w
        join json_each(w.queues) served
    )
order by c.queue

-- name: glance_ready
select r.rank, r.seq, m.task
from penstock_ready r
cross join penstock_message m on m.seq = r.seq
where r.queue = :queue and (r.rank, r.seq) > (:first, :second)
order by r.rank, r.seq
limit :limit

-- name: glance_later
select l.due, l.seq, m.task
from penstock_later l
cross join penstock_message m on m.seq = l.seq
where l.queue = :queue and (l.due, l.seq) > (:first, :second)
order by l.due, l.seq
limit :limit
