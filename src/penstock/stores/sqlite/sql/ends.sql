-- Ends that come from outside: cancellation, expiry, dead letters, forgetting.

-- name: find_message
select m.seq, m.queue, m.task, m.key, m.rank, m.due, cast(m.failures as integer), cast(m.deaths as integer), m.id, cast(m.options as blob)
from penstock_message m
where m.id = :id

-- name: is_over
select 1
from penstock_finished
where seq = :seq
union all
select 1
from penstock_dead
where seq = :seq

-- name: holder
select l.owner
from penstock_worker w
cross join penstock_leased l on l.owner = w.incarnation and l.seq = :seq

-- name: request_cancel
insert into penstock_cancel (owner, seq)
values (:owner, :seq)
on conflict (owner, seq) do update set seq = excluded.seq
returning seq

-- name: take_from_ready
delete from penstock_ready
where queue = :queue and rank = :rank and seq = :seq
returning seq

-- name: take_from_later
delete from penstock_later
where queue = :queue and due = :due and seq = :seq
returning seq

-- name: take_from_aside
delete from penstock_aside
where seq = :seq
returning seq

-- name: take_from_suspect
delete from penstock_suspect
where seq = :seq
returning seq

-- name: expired
select m.seq, m.queue, m.task, m.key, m.rank, m.due, cast(m.failures as integer), cast(m.deaths as integer), m.id, cast(m.options as blob)
from penstock_message m
where m.expires <= :now
    and not exists (
        select 1
        from penstock_worker w
        cross join penstock_leased l
        where l.owner = w.incarnation and l.seq = m.seq
    )
order by m.expires
limit :limit

-- name: forget_expiry
update penstock_message
set expires = null
where seq in (select value from json_each(:seqs))

-- name: find_letters
select m.seq, m.id, m.queue, cast(m.options as blob)
from json_each(:ids) s
join penstock_message m on m.id = s.value
join penstock_dead d on d.seq = m.seq
order by m.seq

-- name: find_later
select m.seq, m.id, m.queue
from json_each(:ids) s
join penstock_message m on m.id = s.value
join penstock_later l on l.queue = m.queue and l.due = m.due and l.seq = m.seq

-- name: leave_later
delete from penstock_later
where (queue, due, seq) in (
    select m.queue, m.due, m.seq
    from json_each(:seqs) s
    join penstock_message m on m.seq = s.value
)
returning seq

-- name: unbury
delete from penstock_dead
where seq in (select value from json_each(:seqs))
returning seq, queue, task, reason, died, attempts, error, message, traceback

-- name: renumber
insert or replace into penstock_message (id, queue, task, rank, key, enqueued, given, headers, options, body, type)
select id, queue, task, rank, key, enqueued, given, headers, options, body, type
from penstock_message
where seq in (select value from json_each(:seqs))
order by seq
returning id, seq

-- name: renumber_attempts
with moved (old, new) as (values :rows)
update penstock_attempt
set seq = moved.new
from moved
where penstock_attempt.seq = moved.old

-- name: old_finished
select f.seq, f.queue, f.ended, m.given
from penstock_finished f
join penstock_message m on m.seq = f.seq
where f.seq > :after
order by f.seq
limit :limit

-- name: kept
select queue, kept
from penstock_counter

-- name: forget_finished
delete from penstock_finished
where seq in (select value from json_each(:seqs))

-- name: forget_attempts
delete from penstock_attempt
where seq in (select value from json_each(:seqs))

-- name: forget_messages
delete from penstock_message
where seq in (select value from json_each(:seqs))
