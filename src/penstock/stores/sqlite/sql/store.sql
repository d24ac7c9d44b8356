-- The store itself.

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

-- name: meta
select value
from penstock_meta
where name = :name

-- name: set_meta
insert into penstock_meta (name, value)
values (:name, :value)
on conflict (name) do update set value = excluded.value

-- name: settings
select name, value
from penstock_setting
where scope = :scope

-- name: all_settings
select scope, name, value
from penstock_setting

-- name: max_waiting
select substr(scope, 7), value
from penstock_setting
where name = 'max_waiting' and scope like 'queue:%'

-- name: set_setting
insert into penstock_setting (scope, name, value, by, at)
values (:scope, :name, :value, :by, :at)
on conflict (scope, name) do update set
    value = excluded.value,
    by = excluded.by,
    at = excluded.at

-- name: drop_setting
delete from penstock_setting
where scope = :scope and name = :name

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

-- name: savepoint
savepoint penstock_savepoint

-- name: release_savepoint
release penstock_savepoint

-- name: rollback_savepoint
rollback to penstock_savepoint
