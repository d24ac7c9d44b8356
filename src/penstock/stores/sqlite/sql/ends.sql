-- Ends that come from outside: cancellation, expiry, dead letters, forgetting.

-- name: find_message
select m.seq, m.queue, m.task, m.key, m.rank, m.due, m.failures, m.deaths
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
insert or ignore into penstock_cancel (owner, seq)
values (:owner, :seq)

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

-- name: give_up_key
delete from penstock_busy
where queue = :queue and key = :key and last = :seq and owner is null

-- name: expired
select m.seq, m.queue, m.task, m.key, m.rank, m.due, m.failures, m.deaths
from penstock_message m
where m.expires <= :now
order by m.expires
limit :limit

-- name: forget_expiry
update penstock_message
set expires = null
where seq in (select value from json_each(:seqs))

-- name: find_letters
select m.seq, m.id, m.queue, m.key
from json_each(:ids) s
join penstock_message m on m.id = s.value
join penstock_dead d on d.seq = m.seq
order by m.seq

-- name: find_later
select m.seq, m.id, m.queue, m.due
from json_each(:ids) s
join penstock_message m on m.id = s.value
join penstock_later l on l.queue = m.queue and l.due = m.due and l.seq = m.seq

-- name: unbury
delete from penstock_dead
where seq = :seq

-- name: renumber
update penstock_message
set seq = :new, failures = 0, deaths = 0, due = null, expires = null
where seq = :seq

-- name: renumber_attempts
update penstock_attempt
set seq = :new
where seq = :seq

-- name: advance_seq
update sqlite_sequence
set seq = :seq
where name = 'penstock_message'

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
