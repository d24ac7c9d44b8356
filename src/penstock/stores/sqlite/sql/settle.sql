-- Writing ends.

-- name: release
delete from penstock_leased
where owner = :owner and seq in (select value from json_each(:seqs)) and claimed <= :claimed
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
with late (seq, due, failures) as (values :rows)
update penstock_message
set due = late.due, failures = late.failures
from late
where penstock_message.seq = late.seq

-- name: into_later
insert into penstock_later (queue, due, seq)
values :rows

-- name: remember
insert into penstock_attempt (seq, number, what, at, owner, error, message, traceback)
values :rows

-- name: count_failure
with failed (seq, failures) as (values :rows)
update penstock_message
set failures = failed.failures
from failed
where penstock_message.seq = failed.seq

-- name: bury
insert into penstock_dead (seq, queue, task, reason, died, attempts, error, message, traceback)
values :rows

-- name: hooked
select task
from penstock_hook
where task in (select value from json_each(:tasks))

-- name: bump
insert into penstock_counter (queue, waiting, delayed, running, dead, done, failed, cancelled, expired, kept)
values :rows
on conflict (queue) do update set
    waiting = waiting + excluded.waiting,
    delayed = delayed + excluded.delayed,
    running = running + excluded.running,
    dead = dead + excluded.dead,
    done = done + excluded.done,
    failed = failed + excluded.failed,
    cancelled = cancelled + excluded.cancelled,
    expired = expired + excluded.expired,
    kept = kept + excluded.kept
