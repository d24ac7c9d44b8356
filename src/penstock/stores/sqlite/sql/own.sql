-- What only SQLite is asked: its pragmas, its sequence, the clock that its processes keep in the file.

-- name: last_seq
select seq
from sqlite_sequence
where name = 'penstock_message'

-- name: take_write_lock
delete from penstock_meta
where 0 = 1

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
