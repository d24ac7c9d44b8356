-- What there is to do in the queues of a claim: `penstock/stores/postgres/look.py`.

-- name: look
-- `asked`: for each queue its name, the places (by rank) and the time below which nothing was. `snapshot`: the one that says so.
-- Rows of a dump may say that they came by a transaction that is still to be: they are not new for ever.
with asked as materialized (
    select q.value ->> 0 as queue, q.value -> 1 as starts, (q.value ->> 2)::bigint as due, q.n
    from jsonb_array_elements(:asked::text::jsonb) with ordinality as q (value, n)
), new_ready as materialized (
    select *
    from (
        select queue, rank, seq
        from penstock.ready
        where came >= pg_snapshot_xmax(:snapshot::text::pg_snapshot)
            and came < pg_snapshot_xmax(pg_current_snapshot())
        order by came desc
        limit :flood
    ) later
    union all
    select queue, rank, seq
    from penstock.ready
    where came = any (array(select pg_snapshot_xip(:snapshot::text::pg_snapshot)))
), new_later as materialized (
    select *
    from (
        select queue, due
        from penstock.later
        where came >= pg_snapshot_xmax(:snapshot::text::pg_snapshot)
            and came < pg_snapshot_xmax(pg_current_snapshot())
        order by came desc
        limit :flood
    ) later
    union all
    select queue, due
    from penstock.later
    where came = any (array(select pg_snapshot_xip(:snapshot::text::pg_snapshot)))
), lower as materialized (
    select queue, rank, min(seq) as seq
    from new_ready
    group by queue, rank
), earlier as materialized (
    select queue, min(due) as due
    from new_later
    group by queue
)
select
    pg_current_snapshot()::text,
    exists (select 1 from penstock.worker where incarnation = :owner),
    greatest((select count(*) from new_ready), (select count(*) from new_later)),
    (select jsonb_agg(jsonb_build_array(queue, rank, seq)) from lower)::text,
    (select jsonb_agg(jsonb_build_array(queue, due)) from earlier)::text,
    a.queue,
    (
        select jsonb_agg(jsonb_build_array(k.rank, first.seq))
        from generate_series(0, 9) as k (rank)
        left join lower on lower.queue = a.queue and lower.rank = k.rank
        cross join lateral (
            select r.seq
            from penstock.ready r
            where r.queue = a.queue and r.rank = k.rank and r.seq >= least((a.starts ->> k.rank)::bigint, lower.seq)
            order by r.seq
            limit 1
        ) first
    )::text,
    first_due.due,
    case
        when first_due.due <= :now then (
            select l.due
            from penstock.later l
            where l.queue = a.queue and l.due > :now
            order by l.due
            limit 1
        )
        else first_due.due
    end,
    (
        with recursive met (stray) as (
            select min(s.stray)
            from penstock.aside s
            where s.queue = a.queue and s.stray is not null
            union all
            select (
                select min(s.stray)
                from penstock.aside s
                where s.queue = a.queue and s.stray > met.stray
            )
            from met
            where met.stray is not null
        )
        select jsonb_agg(stray)
        from met
        where stray is not null
    )::text,
    exists (
        select 1
        from penstock.suspect s
        cross join lateral (
            select task
            from penstock.message
            where seq = s.seq
            offset 0
        ) m
        where s.queue = a.queue and m.task = any (array(select jsonb_array_elements_text(:tasks::text::jsonb)))
    ),
    (
        select jsonb_agg(jsonb_build_array(rule.name, rule.value, rule.operators))
        from (
            select name, value, 1 as operators
            from penstock.setting
            where scope = 'queue:' || a.queue
            union all
            select name, value, 0
            from penstock.limit
            where queue = a.queue
        ) rule
    )::text,
    coalesce(pg_sequence_last_value('penstock.message_seq_seq'), 0)
from (select 1) one
left join asked a on true
left join lateral (
    select l.due
    from penstock.later l
    where l.queue = a.queue and l.due >= least(a.due, (select earlier.due from earlier where earlier.queue = a.queue))
    order by l.due
    limit 1
) first_due on true
order by a.n
