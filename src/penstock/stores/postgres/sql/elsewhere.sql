-- Jobs of a worker's tasks that wait in queues which are not its own.

-- name: queues_set_aside
select c.queue
from penstock.worker w
cross join penstock.count c
where w.incarnation = :incarnation
    and c.waiting > 0
    and c.queue not in (select jsonb_array_elements_text(w.queues::jsonb))
    and (
        exists (
            select 1
            from jsonb_array_elements_text(w.tasks::jsonb) t
            join penstock.aside a on a.queue = c.queue and a.stray = t.value
            offset 0
        )
        or exists (
            select 1
            from penstock.suspect s
            join penstock.message m on m.seq = s.seq
            where s.queue = c.queue and m.task in (select jsonb_array_elements_text(w.tasks::jsonb))
            offset 0
        )
    )

-- name: queues_unserved
select c.queue
from penstock.count c
where c.waiting + c.delayed > 0
    and c.queue not in (
        select served.value
        from penstock.worker w
        cross join jsonb_array_elements_text(w.queues::jsonb) served
    )
order by c.queue

-- name: glance_ready
select r.rank, r.seq, m.task
from penstock.ready r
join penstock.message m on m.seq = r.seq
where r.queue = :queue and (r.rank, r.seq) > (:first, :second)
order by r.rank, r.seq
limit :limit

-- name: glance_later
select l.due, l.seq, m.task
from penstock.later l
join penstock.message m on m.seq = l.seq
where l.queue = :queue and (l.due, l.seq) > (:first, :second)
order by l.due, l.seq
limit :limit
