-- Putting messages in.

-- name: last_seq
select seq
from sqlite_sequence
where name = 'penstock_message'

-- name: known_ids
select id
from penstock_message
where id in (select value from json_each(:ids))

-- name: put_messages
insert into penstock_message (id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body)
values :rows

-- name: put_ready
insert into penstock_ready (queue, rank, seq, key)
select queue, rank, seq, key
from penstock_message
where seq > :after and due is null

-- name: put_later
insert into penstock_later (queue, due, seq)
select queue, due, seq
from penstock_message
where seq > :after and due is not null

-- name: bump
insert into penstock_counter (queue, waiting, delayed, running, dead, done, failed, cancelled, expired, kept)
values (:queue, :waiting, :delayed, :running, :dead, :done, :failed, :cancelled, :expired, :kept)
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

-- name: depth
select waiting + delayed
from penstock_counter
where queue = :queue
