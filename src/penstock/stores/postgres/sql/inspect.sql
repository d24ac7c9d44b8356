-- Looking.

-- name: job
select m.seq, m.id, m.queue, m.task, m.rank, m.key, m.due, m.expires, m.enqueued, m.failures, m.deaths,
    coalesce(e.headers, m.headers), coalesce(e.body, m.body),
    f.outcome, f.ended, f.attempt, f.owner, f.result, f.note, d.died, d.attempts,
    l.owner, l.claimed, w.name, c.seq, t.seq, m.type, p.fraction, p.note, p.at, m.options
from penstock.message m
left join lateral (
    select *
    from penstock.event
    where topic = m.ref_topic and pos = m.ref
    offset 0
) e on true
left join penstock.finished f on f.seq = m.seq
left join penstock.dead d on d.seq = m.seq
left join lateral (
    select owner, claimed
    from penstock.leased
    where seq = m.seq
    offset 0
) l on l.owner = any (array(select incarnation from penstock.worker))
left join penstock.worker w on w.incarnation = l.owner
left join penstock.cancel c on c.owner = l.owner and c.seq = m.seq
left join penstock.later t on t.queue = m.queue and t.due = m.due and t.seq = m.seq
left join penstock.progress p on p.seq = m.seq
where m.id = :id

-- name: jobs
select m.seq, m.id, m.queue, m.task, m.rank, m.key, m.due, m.expires, m.enqueued, m.failures, m.deaths,
    coalesce(e.headers, m.headers), coalesce(e.body, m.body),
    f.outcome, f.ended, f.attempt, f.owner, f.result, f.note, d.died, d.attempts,
    l.owner, l.claimed, w.name, c.seq, t.seq, m.type, p.fraction, p.note, p.at, m.options
from penstock.message m
left join lateral (
    select *
    from penstock.event
    where topic = m.ref_topic and pos = m.ref
    offset 0
) e on true
left join penstock.finished f on f.seq = m.seq
left join penstock.dead d on d.seq = m.seq
left join lateral (
    select owner, claimed
    from penstock.leased
    where seq = m.seq
    offset 0
) l on l.owner = any (array(select incarnation from penstock.worker))
left join penstock.worker w on w.incarnation = l.owner
left join penstock.cancel c on c.owner = l.owner and c.seq = m.seq
left join penstock.later t on t.queue = m.queue and t.due = m.due and t.seq = m.seq
left join penstock.progress p on p.seq = m.seq
where m.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
    and (:queue::text is null or m.queue = :queue)
    and (:task::text is null or m.task = :task)
    and (:key::text is null or m.key = :key)
    and (:contains::text is null or position(convert_to(:contains, 'UTF8') in coalesce(e.body, m.body)) > 0)
    and (
        :known::text is null
        or (m.task = any (array(select jsonb_array_elements_text(:known::text::jsonb)))) = :routable::boolean
    )
    and (:outcome::text is null or f.outcome = :outcome)
    and (:failed::boolean is null or (m.failures > 0) = :failed)
order by m.seq desc
limit :limit

-- name: newest_messages
select seq
from penstock.message
where seq < :before
order by seq desc
limit :limit

-- name: newest_finished
select seq
from penstock.finished
where seq < :before
order by seq desc
limit :limit

-- name: newest_dead
select seq
from penstock.dead
where seq < :before
order by seq desc
limit :limit

-- name: seqs_waiting
select seq from (
    select r.seq
    from penstock.count c
    cross join generate_series(0, 9) k (rank)
    cross join lateral (
        select n.seq
        from penstock.ready n
        where n.queue = c.queue and n.rank = k.rank and n.seq < :before
        order by n.seq desc
        limit :limit
    ) r
    where c.queue between :first and :last
    union all
    select seq from (
        select seq
        from penstock.aside
        where seq < :before
        order by seq desc
        limit :limit
    ) a
    union all
    select seq
    from penstock.suspect
    where seq < :before
) w
order by seq desc
limit :limit

-- name: seqs_later
select seq
from penstock.later
where queue between :first and :last and seq < :before
order by queue, due, seq
limit :limit

-- name: seqs_running
select seq
from penstock.leased
where seq < :before and owner = any (array(select incarnation from penstock.worker))
limit :limit

-- name: attempts
select number, what, at, owner, error, message, traceback
from penstock.attempt
where seq = :seq
order by n

-- name: seqs_letters
select d.seq
from penstock.dead d
join penstock.message m on m.seq = d.seq
where (:queue::text is null or d.queue = :queue)
    and (:task::text is null or d.task = :task)
    and (:key::text is null or m.key = :key)
    and (:contains::text is null or position(convert_to(:contains, 'UTF8') in m.body) > 0)
    and (:ids::text is null or m.id = any (array(select jsonb_array_elements_text(:ids::text::jsonb))))
order by d.died, d.seq
limit :limit

-- name: letters
select m.id, d.queue, d.task, d.reason, d.died, d.attempts, m.deaths, m.key, m.body, m.headers, m.type,
    d.error, d.message, d.traceback
from penstock.dead d
join penstock.message m on m.seq = d.seq
where d.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
order by d.died, d.seq

-- name: queues
select c.queue, c.waiting, c.delayed, c.running, c.dead, c.done, c.failed, c.cancelled, c.expired,
    (
        select m.enqueued
        from penstock.ready r
        join penstock.message m on m.seq = r.seq
        where r.queue = c.queue
        order by r.rank, r.seq
        limit 1
    )
from penstock.count c
order by c.queue

-- name: workers
select w.incarnation, w.name, w.app, w.pid, w.host, w.started, w.beat, w.queues, w.tasks,
    coalesce(l.held, 0),
    (select s.value from penstock.setting s where s.scope = 'worker:' || w.incarnation and s.name = 'blocked')
from penstock.worker w
left join (
    select owner, count(*) as held
    from penstock.leased
    group by owner
) l on l.owner = w.incarnation
order by w.started

-- name: next_moment
select min(l.due)
from penstock.count c
cross join lateral (
    select due
    from penstock.later
    where queue = c.queue and due > :after
    order by due
    limit 1
) l
