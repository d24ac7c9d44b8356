-- What only SQLite is asked: its pragmas, its sequence, the clock that its processes keep in the file.

-- name: last_seq
select seq
from sqlite_sequence
where name = 'penstock_message'

-- name: take_write_lock
delete from penstock_meta
where 0 = 1

-- name: touch
select
    (select headers from penstock_message order by seq limit 1),
    (select headers from penstock_message order by seq desc limit 1),
    (select id from penstock_message order by id limit 1),
    (select seq from penstock_ready limit 1),
    (select seq from penstock_later limit 1),
    (select rank from penstock_aside limit 1),
    (select rank from penstock_suspect limit 1),
    (select owner from penstock_busy limit 1),
    (select claimed from penstock_leased limit 1),
    (select ended from penstock_finished limit 1),
    (select died from penstock_dead limit 1),
    (select what from penstock_attempt limit 1),
    (select waiting from penstock_counter limit 1),
    (select value from penstock_limit limit 1),
    (select level from penstock_bucket limit 1),
    (select beat from penstock_worker limit 1)

-- name: database_list
pragma database_list

-- name: synchronous
pragma synchronous

-- name: autocheckpoint
pragma wal_autocheckpoint

-- name: no_autocheckpoint
pragma wal_autocheckpoint = 0

-- name: clock
select shift, floor
from penstock_clock
where boot = :boot

-- name: latest_floor
select max(floor)
from penstock_clock

-- name: set_clock
insert into penstock_clock (boot, shift, floor)
values (:boot, :shift, :floor)
on conflict (boot) do update set
    shift = excluded.shift,
    floor = excluded.floor

-- name: open_step
savepoint penstock_step

-- name: keep_step
release penstock_step

-- name: undo_step
rollback to penstock_step

-- name: open_tx
savepoint penstock_tx

-- name: keep_tx
release penstock_tx

-- name: undo_tx
rollback to penstock_tx
