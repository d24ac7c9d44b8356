-- How far the feed may read: `penstock/stores/postgres/floor.py`.

-- name: settled
select s.last, s.floor, s.standby, s.isolation
from penstock.settled s

-- name: events_upto
select e.pos, e.id, e.type, e.body, e.at, e.key, e.version, e.headers
from penstock.topic t
join penstock.event e on e.topic = t.number
where t.name = :topic and e.pos > :after and e.pos <= :upto
order by e.pos
limit :limit

-- name: who_holds_back
select
    h.floor,
    h.pid,
    extract(epoch from me.query_start - coalesce(a.xact_start, p.prepared))::double precision,
    p.gid,
    nullif(a.application_name, ''),
    a.state
from penstock.held_floor h
join pg_stat_activity me on me.pid = pg_backend_pid()
left join pg_stat_activity a on a.pid = h.pid
left join pg_locks x on h.pid is null
    and x.pid is null
    and x.locktype = 'transactionid'
    and x.virtualtransaction = h.virtualtransaction
left join pg_prepared_xacts p on p.transaction = x.transactionid
order by h.floor, coalesce(a.xact_start, p.prepared)
limit 1
