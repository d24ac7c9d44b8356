-- Leasing messages to a worker: `penstock/stores/postgres/claim.py` and `runs.py`. What is locked by others is skipped. `starts` says
-- for each rank from which place to scan: nothing lies below it.

-- name: owner_lives
select 1
from penstock.worker
where incarnation = :owner
for key share

-- name: promote
with due as materialized (
    select ctid as place, due, seq
    from penstock.later
    where queue = :queue and due >= :since and due <= :now
    order by due, seq
    limit :limit
    for update skip locked
), gone as (
    delete from penstock.later
    where ctid = any (array(select place from due))
)
insert into penstock.ready (queue, rank, seq, key)
select m.queue, m.rank, m.seq, m.key
from due
join penstock.message m on m.seq = due.seq
order by due.due, due.seq
returning rank, seq

-- name: call_strays_back
with back as materialized (
    select ctid as place, queue, rank, seq, key
    from penstock.aside
    where queue = :queue and stray = :task
    order by rank, seq
    limit :limit
    for update skip locked
), gone as (
    delete from penstock.aside
    where ctid = any (array(select place from back))
)
insert into penstock.ready (queue, rank, seq, key)
select queue, rank, seq, key
from back
returning rank, seq

-- name: meet_ready
with met as materialized (
    select r.rank, r.seq
    from jsonb_array_elements(:starts::text::jsonb) as s
    cross join lateral (
        select rank, seq
        from penstock.ready
        where queue = :queue and rank = (s.value ->> 0)::smallint and seq >= (s.value ->> 1)::bigint
        order by seq
        limit :limit
        for update skip locked
    ) r
    limit :limit
)
select m.seq, m.id, m.task, m.key, m.failures, m.deaths, m.expires, m.enqueued, coalesce(e.headers, m.headers), m.options,
    coalesce(e.body, m.body), m.type, met.rank
from met
cross join lateral (
    select *
    from penstock.message
    where seq = met.seq
    offset 0
) m
left join lateral (
    select *
    from penstock.event
    where topic = m.ref_topic and pos = m.ref
    offset 0
) e on true
order by met.rank, met.seq

-- name: any_from
select 1
from jsonb_array_elements(:starts::text::jsonb) as s
cross join lateral (
    select 1
    from penstock.ready
    where queue = :queue and rank = (s.value ->> 0)::smallint and seq >= (s.value ->> 1)::bigint
    order by seq
    limit 1
) r
limit 1

-- name: any_ready
select 1
from penstock.ready
where queue = :queue
order by rank, seq
limit 1

-- name: lease
with mine as materialized (
    select m.seq, m.queue, m.rank, m.key
    from penstock.message m
    where m.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
), from_ready as (
    delete from penstock.ready
    where ctid = any (
        array(
            select r.place
            from mine
            cross join lateral (
                select ctid as place
                from penstock.ready
                where queue = mine.queue and rank = mine.rank and seq = mine.seq
                offset 0
            ) r
        )
    )
), from_aside as (
    delete from penstock.aside
    where seq = any (array(select seq from mine where key is not null))
), leased as (
    insert into penstock.leased (seq, owner, claimed)
    select seq, :owner, :claimed
    from mine
)
update penstock.busy b
set last = run.last
from (
    select queue, key, max(seq) as last
    from mine
    where key is not null
    group by queue, key
) run
where b.queue = run.queue and b.key = run.key

-- name: leave_met
with met as materialized (
    select m.seq, m.queue, m.rank
    from penstock.message m
    where m.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
), from_ready as (
    delete from penstock.ready
    where ctid = any (
        array(
            select r.place
            from met
            cross join lateral (
                select ctid as place
                from penstock.ready
                where queue = met.queue and rank = met.rank and seq = met.seq
                offset 0
            ) r
        )
    )
)
delete from penstock.aside
where seq = any (array(select seq from met))

-- name: put_stray
insert into penstock.aside (seq, queue, key, rank, stray)
select seq, queue, key, rank, task
from penstock.message
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: put_suspects
insert into penstock.suspect (seq, queue, rank)
select seq, queue, rank
from penstock.message
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: suspect_waits
select 1
from penstock.suspect
where queue = :queue
limit 1

-- name: take_suspect
select m.seq, m.id, m.task, m.key, m.failures, m.deaths, m.expires, m.enqueued, coalesce(e.headers, m.headers), m.options,
    coalesce(e.body, m.body), m.type, s.rank
from penstock.suspect s
cross join lateral (
    select *
    from penstock.message
    where seq = s.seq
    offset 0
) m
left join lateral (
    select *
    from penstock.event
    where topic = m.ref_topic and pos = m.ref
    offset 0
) e on true
where s.queue = :queue and m.task = any (array(select jsonb_array_elements_text(:tasks::text::jsonb)))
order by s.rank, s.seq
limit 1
for update of s skip locked

-- name: leave_suspect
delete from penstock.suspect
where seq = :seq

-- name: holds_of
select 1
from penstock.leased l
cross join lateral (
    select queue
    from penstock.message
    where seq = l.seq
    offset 0
) m
where l.owner = :owner and m.queue = :queue
limit 1
