-- Leasing what needs no decision, a statement a queue: `penstock/stores/postgres/plain.py`. What is locked by others is skipped.

-- name: take_plain
-- What comes before the first that has a key, is late, unknown or of a batch, a suspect, or gives a unique name back when it starts
-- (such options say 'start'). It leaves the rest of what it meets, and says how much that was, and whether there is more behind it.
-- The ranks come in their order, and none is looked into before those before it are used up: each row that is locked is one that is
-- met.
with lives as materialized (
    select 1
    from penstock.worker
    where incarnation = :owner
    for key share
), met as materialized (
    select r.place, r.rank, r.seq, r.key
    from lives
    cross join jsonb_array_elements(:starts::text::jsonb) as s
    cross join lateral (
        select ctid as place, rank, seq, key
        from penstock.ready
        where queue = :queue and rank = (s.value ->> 0)::smallint and seq >= (s.value ->> 1)::bigint
        order by seq
        limit :room
        for update skip locked
    ) r
    limit :room
), judged as materialized (
    select met.place, m.*,
        met.key is null
            and (m.expires is null or m.expires > :now)
            and m.deaths < :suspect
            and m.task = any (array(select jsonb_array_elements_text(:tasks::text::jsonb)))
            and (m.options is null or position('start'::bytea in m.options) = 0) as plain
    from met
    cross join lateral (
        select *
        from penstock.message
        where seq = met.seq
        offset 0
    ) m
), other as materialized (
    select rank, seq
    from judged
    where not plain
    order by rank, seq
    limit 1
), fit as materialized (
    select *
    from judged
    where coalesce((rank, seq) < (select rank, seq from other), true)
), gone as (
    delete from penstock.ready
    where ctid = any (array(select place from fit))
), leased as (
    insert into penstock.leased (seq, owner, claimed)
    select seq, :owner, :claimed
    from fit
), counted as (
    insert into penstock.delta (queue, waiting, running)
    select :queue, -count(*), count(*)
    from fit
    having count(*) > 0
), last as materialized (
    select rank, seq
    from met
    order by rank desc, seq desc
    limit 1
)
select fit.seq, fit.id, fit.task, fit.key, fit.failures, fit.deaths, fit.expires, fit.enqueued, coalesce(e.headers, fit.headers),
    fit.options, coalesce(e.body, fit.body), fit.type, fit.rank,
    (select count(*) from met),
    (select count(*) from met) = :room and exists (
        select 1
        from last
        join jsonb_array_elements(:starts::text::jsonb) as s on (s.value ->> 0)::smallint >= last.rank
        cross join lateral (
            select 1
            from penstock.ready
            where queue = :queue
                and rank = (s.value ->> 0)::smallint
                and seq >= case when (s.value ->> 0)::smallint = last.rank then last.seq + 1 else (s.value ->> 1)::bigint end
            order by seq
            limit 1
        ) behind
    )
from (select 1) one
left join fit on true
left join lateral (
    select *
    from penstock.event
    where topic = fit.ref_topic and pos = fit.ref
    offset 0
) e on true
order by fit.rank, fit.seq

-- name: take_new
-- One rank of what was put behind a place, by who has not looked: nothing of a queue with settings or limits. What is not plain, as
-- `take_plain` has it, stays for who looks; it says how much it met. Who finds nothing, since another was faster, locks nothing.
with lives as materialized (
    select 1
    from penstock.worker
    where incarnation = :owner
        and (
            select seq
            from penstock.ready
            where queue = :queue and rank = :rank and seq > :since
            order by seq
            limit 1
        ) is not null
        and not exists (
            select 1
            from penstock.setting
            where scope = 'queue:' || :queue
        )
        and not exists (
            select 1
            from penstock.limit
            where queue = :queue
        )
    for key share
), met as materialized (
    select r.place, r.seq, r.key
    from lives
    cross join lateral (
        select ctid as place, seq, key
        from penstock.ready
        where queue = :queue and rank = :rank and seq > :since
        order by seq
        limit :room
        for update skip locked
    ) r
), fit as materialized (
    select met.place, m.*
    from met
    cross join lateral (
        select *
        from penstock.message
        where seq = met.seq
        offset 0
    ) m
    where met.key is null
        and (m.expires is null or m.expires > :now)
        and m.deaths < :suspect
        and m.task = any (array(select jsonb_array_elements_text(:tasks::text::jsonb)))
        and (m.options is null or position('start'::bytea in m.options) = 0)
), gone as (
    delete from penstock.ready
    where ctid = any (array(select place from fit))
), leased as (
    insert into penstock.leased (seq, owner, claimed)
    select seq, :owner, :claimed
    from fit
), counted as (
    insert into penstock.delta (queue, waiting, running)
    select :queue, -count(*), count(*)
    from fit
    having count(*) > 0
)
select fit.seq, fit.id, fit.task, fit.key, fit.failures, fit.deaths, fit.expires, fit.enqueued, coalesce(e.headers, fit.headers),
    fit.options, coalesce(e.body, fit.body), fit.type, fit.rank,
    (select count(*) from met)
from (select 1) one
left join fit on true
left join lateral (
    select *
    from penstock.event
    where topic = fit.ref_topic and pos = fit.ref
    offset 0
) e on true
order by fit.seq
