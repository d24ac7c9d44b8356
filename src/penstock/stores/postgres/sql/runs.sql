-- Taking the runs of keys: `penstock/stores/postgres/runs.py`.

-- name: occupy
-- Keys that are free, or wait for a retry of one of these. The row of any other is locked all the same: see `runs.py`.
insert into penstock.busy as b (queue, key, last, owner)
select :queue, m.key, 0, :owner
from penstock.message m
where m.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
group by m.key
order by m.key
on conflict (queue, key) do update set owner = excluded.owner
where b.owner is null and b.last = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
returning key

-- name: runs_of_keys
-- The first messages of each key, as far as nobody else has one of them locked; and no more keys than fill the room.
with asked as materialized (
    select a.key, a.n
    from jsonb_array_elements_text(:keys::text::jsonb) with ordinality as a (key, n)
), locked as materialized (
    select r.key, r.seq
    from asked
    cross join lateral (
        select key, seq
        from penstock.ready
        where queue = :queue and key = asked.key
        order by seq
        limit :limit
        for update skip locked
    ) r
    union all
    select s.key, s.seq
    from asked
    cross join lateral (
        select key, seq
        from penstock.aside
        where queue = :queue and key = asked.key
        order by seq
        limit :limit
        for update skip locked
    ) s
), seen as materialized (
    select r.key, r.seq
    from asked
    cross join lateral (
        select key, seq
        from penstock.ready
        where queue = :queue and key = asked.key
        order by seq
        limit :limit
    ) r
    union all
    select s.key, s.seq
    from asked
    cross join lateral (
        select key, seq
        from penstock.aside
        where queue = :queue and key = asked.key
        order by seq
        limit :limit
    ) s
), met_elsewhere as materialized (
    select key, min(seq) as seq
    from seen
    where seq not in (select seq from locked)
    group by key
), numbered as materialized (
    select asked.key, asked.n, l.seq, row_number() over (partition by asked.n order by l.seq) as place
    from asked
    join locked l on l.key = asked.key
    left join met_elsewhere e on e.key = asked.key
    where e.seq is null or l.seq < e.seq
), fitting as materialized (
    select key, n, seq, count(*) over (order by n) - count(*) over (partition by n) as before
    from numbered
    where place <= :limit
)
select m.seq, m.id, m.task, m.key, m.failures, m.deaths, m.expires, m.enqueued, coalesce(e.headers, m.headers), m.options,
    coalesce(e.body, m.body), m.type, m.rank
from fitting
cross join lateral (
    select *
    from penstock.message
    where seq = fitting.seq
    offset 0
) m
left join lateral (
    select *
    from penstock.event
    where topic = m.ref_topic and pos = m.ref
    offset 0
) e on true
where fitting.before < :room
order by fitting.n, fitting.seq

-- name: let_keys_go
-- What is untouched goes on as it was: it waits for its retry.
with waiting as (
    update penstock.busy
    set owner = null
    where queue = :queue and key = any (array(select jsonb_array_elements_text(:untouched::text::jsonb))) and last > 0
)
delete from penstock.busy
where queue = :queue
    and key = any (array(select jsonb_array_elements_text(:keys::text::jsonb)))
    and (last = 0 or key <> all (array(select jsonb_array_elements_text(:untouched::text::jsonb))))

-- name: set_aside
with met as materialized (
    select m.seq, m.queue, m.rank, m.key
    from penstock.message m
    where m.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
), gone as (
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
insert into penstock.aside (seq, queue, key, rank)
select seq, queue, key, rank
from met
