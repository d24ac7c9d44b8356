-- Looking. What somebody else wrote in other types is cast.

-- name: job
select m.seq, cast(m.id as text), cast(m.queue as text), cast(m.task as text), m.rank, cast(m.key as text), m.due,
    cast(m.expires as integer), m.enqueued, cast(m.failures as integer), cast(m.deaths as integer),
    coalesce(e.headers, cast(m.headers as blob)), coalesce(e.body, cast(m.body as blob)),
    f.outcome, f.ended, f.attempt, f.owner, f.result, f.note, d.died, d.attempts,
    l.owner, l.claimed, w.name, c.seq, t.seq, cast(m.type as text), p.fraction, p.note, p.at, cast(m.options as blob)
from penstock_message m
left join penstock_event e on e.place = m.ref
left join penstock_finished f on f.seq = m.seq
left join penstock_dead d on d.seq = m.seq
left join (
    select h.seq, h.owner, h.claimed
    from penstock_message y
    cross join penstock_worker x
    cross join penstock_leased h on h.owner = x.incarnation and h.seq = y.seq
    where y.id = :id
) l on l.seq = m.seq
left join penstock_worker w on w.incarnation = l.owner
left join penstock_cancel c on c.owner = l.owner and c.seq = m.seq
left join penstock_later t on t.queue = m.queue and t.due = m.due and t.seq = m.seq
left join penstock_progress p on p.seq = m.seq
where m.id = :id

-- name: jobs
select m.seq, cast(m.id as text), cast(m.queue as text), cast(m.task as text), m.rank, cast(m.key as text), m.due,
    cast(m.expires as integer), m.enqueued, cast(m.failures as integer), cast(m.deaths as integer),
    coalesce(e.headers, cast(m.headers as blob)), coalesce(e.body, cast(m.body as blob)),
    f.outcome, f.ended, f.attempt, f.owner, f.result, f.note, d.died, d.attempts,
    l.owner, l.claimed, w.name, c.seq, t.seq, cast(m.type as text), p.fraction, p.note, p.at, cast(m.options as blob)
from penstock_message m
left join penstock_event e on e.place = m.ref
left join penstock_finished f on f.seq = m.seq
left join penstock_dead d on d.seq = m.seq
left join penstock_worker w on exists (select 1 from penstock_leased h where h.owner = w.incarnation and h.seq = m.seq)
left join penstock_leased l on l.owner = w.incarnation and l.seq = m.seq
left join penstock_cancel c on c.owner = l.owner and c.seq = m.seq
left join penstock_later t on t.queue = m.queue and t.due = m.due and t.seq = m.seq
left join penstock_progress p on p.seq = m.seq
where m.seq in (select value from json_each(:seqs))
    and (:queue is null or m.queue = :queue)
    and (:task is null or m.task = :task)
    and (:key is null or m.key = :key)
    and (:contains is null or instr(cast(coalesce(e.body, m.body) as text), :contains) > 0)
    and (:known is null or (m.task in (select value from json_each(:known))) = :routable)
    and (:outcome is null or f.outcome = :outcome)
    and (:failed is null or (m.failures > 0) = :failed)
order by m.seq desc
limit :limit

-- name: newest_messages
select seq
from penstock_message
where seq < :before
order by seq desc
limit :limit

-- name: newest_finished
select seq
from penstock_finished
where seq < :before
order by seq desc
limit :limit

-- name: newest_dead
select seq
from penstock_dead
where seq < :before
order by seq desc
limit :limit

-- name: seqs_waiting
select seq from (
    select r.seq
    from penstock_counter c
    cross join json_each('[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]') k
    cross join penstock_ready r on r.queue = c.queue and r.rank = k.value and r.seq in (
        select n.seq
        from penstock_ready n
        where n.queue = c.queue and n.rank = k.value and n.seq < :before
        order by n.seq desc
        limit :limit
    )
    where c.queue between :first and :last
    union all
    select seq from (
        select seq
        from penstock_aside
        where seq < :before
        order by seq desc
        limit :limit
    )
    union all
    select seq
    from penstock_suspect
    where seq < :before
)
order by seq desc
limit :limit

-- name: seqs_later
select seq
from penstock_later
where queue between :first and :last and seq < :before
order by queue, due, seq
limit :limit

-- name: seqs_running
select l.seq
from penstock_worker w
cross join penstock_leased l on l.owner = w.incarnation and l.seq < :before
limit :limit

-- name: attempts
select number, what, at, owner, error, message, traceback
from penstock_attempt
where seq = :seq
order by n

-- name: seqs_letters
select d.seq
from penstock_dead d
cross join penstock_message m on m.seq = d.seq
where (:queue is null or d.queue = :queue)
    and (:task is null or d.task = :task)
    and (:key is null or m.key = :key)
    and (:contains is null or instr(cast(m.body as text), :contains) > 0)
    and (:ids is null or m.id in (select value from json_each(:ids)))
order by d.died, d.seq
limit :limit

-- name: letters
select cast(m.id as text), d.queue, d.task, d.reason, d.died, d.attempts, cast(m.deaths as integer), cast(m.key as text), cast(m.body as blob),
    cast(m.headers as blob), cast(m.type as text),
    d.error, d.message, d.traceback
from json_each(:seqs) s
cross join penstock_dead d on d.seq = s.value
cross join penstock_message m on m.seq = d.seq
order by d.died, d.seq

-- name: queues
select c.queue, c.waiting, c.delayed, c.running, c.dead, c.done, c.failed, c.cancelled, c.expired,
    (
        select m.enqueued
        from penstock_ready r
        join penstock_message m on m.seq = r.seq
        where r.queue = c.queue
        order by r.rank, r.seq
        limit 1
    )
from penstock_counter c
order by c.queue

-- name: workers
select w.incarnation, w.name, w.app, w.pid, w.host, w.started, w.beat, w.queues, w.tasks,
    (select count(*) from penstock_leased l where l.owner = w.incarnation),
    (select s.value from penstock_setting s where s.scope = 'worker:' || w.incarnation and s.name = 'blocked')
from penstock_worker w
order by w.started

-- name: next_moment
select min(due)
from penstock_later
where due > :after
