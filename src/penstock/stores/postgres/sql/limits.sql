-- Limits of queues.

-- name: queue_rules
select substr(scope, 7), name, value, 1
from penstock.setting
where scope like 'queue:%'
union all
select queue, name, value, 0
from penstock.limit

-- name: limit_state
select
    (select running from penstock.count where queue = :queue),
    (select rate from penstock.bucket where queue = :queue),
    (select level from penstock.bucket where queue = :queue),
    (select at from penstock.bucket where queue = :queue)

-- name: set_bucket
insert into penstock.bucket (queue, rate, level, at)
values (:queue, :rate, :level, :at)
on conflict (queue) do update set
    rate = excluded.rate,
    level = excluded.level,
    at = excluded.at

-- name: drop_limits
delete from penstock.limit
where app = :app

-- name: set_limits
insert into penstock.limit (queue, name, value, app)
select *
from unnest(:rows(text, text, text, text))
on conflict (queue, name) do update set
    value = excluded.value,
    app = excluded.app
