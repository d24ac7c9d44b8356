-- How far the feed may read: `penstock/stores/postgres/floor.py`.

-- name: last_position
select coalesce(pg_sequence_last_value('penstock.event_pos'), 0), pg_is_in_recovery()

-- name: lowest_floor
select min((l.classid::bigint & 65535) << 32 | l.objid::bigint)
from pg_locks l
where l.locktype = 'advisory'
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.objsubid = 1
    and l.classid::bigint >> 16 = 16384 | 'penstock.event_pos'::regclass::oid::bigint & 16383
    and l.granted

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
    p.gid
from (
    select (l.classid::bigint & 65535) << 32 | l.objid::bigint as floor, l.pid, l.virtualtransaction
    from pg_locks l
    where l.locktype = 'advisory'
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and l.objsubid = 1
        and l.classid::bigint >> 16 = 16384 | 'penstock.event_pos'::regclass::oid::bigint & 16383
        and l.granted
) h
join pg_stat_activity me on me.pid = pg_backend_pid()
left join pg_stat_activity a on a.pid = h.pid
left join pg_locks x on h.pid is null
    and x.pid is null
    and x.locktype = 'transactionid'
    and x.virtualtransaction = h.virtualtransaction
left join pg_prepared_xacts p on p.transaction = x.transactionid
order by h.floor, coalesce(a.xact_start, p.prepared)
limit 1
