-- The store itself.

-- name: max_waiting
select substr(scope, 7), value
from penstock.setting
where name = 'max_waiting' and scope like 'queue:%'

-- name: set_setting
insert into penstock.setting (scope, name, value, by, at)
values (:scope, :name, :value, :by, :at)
on conflict (scope, name) do update set
    value = excluded.value,
    by = excluded.by,
    at = excluded.at

-- name: drop_setting
delete from penstock.setting
where scope = :scope and name = :name

-- name: depth
select waiting + delayed
from penstock.count
where queue = :queue
