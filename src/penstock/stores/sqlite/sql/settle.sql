-- Writing ends.

-- name: release
delete from penstock_leased
where owner = :owner and seq in (select value from json_each(:seqs))
returning seq

-- name: cancel_requests
select seq
from penstock_cancel
where owner = :owner

-- name: drop_cancel_requests
delete from penstock_cancel
where owner = :owner and seq in (select value from json_each(:seqs))

-- name: finish
insert into penstock_finished (seq, queue, outcome, ended, attempt, owner, result, note)
values :rows

-- name: back_to_ready
insert into penstock_ready (queue, rank, seq, key)
select m.queue, m.rank, m.seq, m.key
from json_each(:seqs) s
join penstock_message m on m.seq = s.value

-- name: postpone
update penstock_message
set due = :due, failures = :failures
where seq = :seq

-- name: into_later
insert into penstock_later (queue, due, seq)
values (:queue, :due, :seq)

-- name: remember
insert into penstock_attempt (seq, number, what, at, owner, error, message, traceback)
values (:seq, :number, :what, :at, :owner, :error, :message, :traceback)

-- name: count_failure
update penstock_message
set failures = :failures
where seq = :seq

-- name: bury
insert into penstock_dead (seq, queue, task, reason, died, attempts, error, message, traceback)
values (:seq, :queue, :task, :reason, :died, :attempts, :error, :message, :traceback)

-- name: has_hook
select 1
from penstock_hook
where task = :task

-- name: hold_key
update penstock_busy
set last = :seq, owner = null
where queue = :queue and key = :key

-- name: free_keys
delete from penstock_busy
where last in (select value from json_each(:seqs)) and owner = :owner
returning queue, key

-- name: head_of_key
select a.seq, a.stray
from penstock_aside a
where a.queue = :queue and a.key = :key
    and not exists (select 1 from penstock_busy b where b.queue = :queue and b.key = :key)
order by a.seq
limit 1
