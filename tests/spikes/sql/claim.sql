-- name: owner_lives
select 1
from penstock.worker
where incarnation = :owner
for key share

-- name: promote
with due as materialized (
    select due, seq
    from penstock.later
    where queue = :queue and due <= :now
    order by due, seq
    limit :limit
    for update skip locked
), gone as (
    delete from penstock.later l
    using due
    where l.queue = :queue and l.due = due.due and l.seq = due.seq
)
insert into penstock.ready (queue, rank, seq, key)
select m.queue, m.rank, m.seq, m.key
from due
join penstock.message m on m.seq = due.seq

-- name: take_ready
with met as materialized (
    select queue, rank, seq, key
    from penstock.ready
    where queue = :queue
    order by rank, seq
    limit :limit
    for update skip locked
), gone as (
    delete from penstock.ready r
    using met
    where r.queue = met.queue and r.rank = met.rank and r.seq = met.seq and met.key is null
), leased as (
    insert into penstock.leased (owner, seq, claimed)
    select :owner, seq, :now
    from met
    where key is null
)
select m.seq, m.id, m.task, m.key, m.failures, m.deaths, m.enqueued, m.headers, m.options, m.body
from met
join penstock.message m on m.seq = met.seq
order by met.rank, met.seq

-- name: occupy
insert into penstock.busy as b (queue, key, last, owner)
select queue, key, 0, :owner
from penstock.message
where seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))
group by queue, key
order by queue, key
on conflict (queue, key) do update set owner = excluded.owner
where b.owner is null and b.last in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))
returning key

-- name: runs_of_keys
with asked as (
    select value as key
    from jsonb_array_elements_text(:keys::text::jsonb)
), free as materialized (
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
), met_elsewhere as (
    select r.key, min(r.seq) as seq
    from asked
    cross join lateral (
        select key, seq
        from penstock.ready
        where queue = :queue and key = asked.key
        order by seq
        limit :limit
    ) r
    where r.seq not in (select seq from free)
    group by r.key
), aside as (
    select a.key, a.seq
    from asked
    cross join lateral (
        select key, seq
        from penstock.aside
        where queue = :queue and key = asked.key
        order by seq
        limit :limit
    ) a
), numbered as (
    select w.key, w.seq, row_number() over (partition by w.key order by w.seq) as n
    from (select key, seq from free union all select key, seq from aside) w
    where not exists (select 1 from met_elsewhere e where e.key = w.key and e.seq < w.seq)
)
select m.seq, m.id, m.task, m.key, m.failures, m.deaths, m.enqueued, m.headers, m.options, m.body
from numbered
join penstock.message m on m.seq = numbered.seq
where numbered.n <= :limit
order by m.key, m.seq

-- name: lease_runs
with mine as materialized (
    select queue, rank, seq, key
    from penstock.message
    where seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))
), from_ready as (
    delete from penstock.ready r
    using mine
    where r.queue = mine.queue and r.rank = mine.rank and r.seq = mine.seq
), from_aside as (
    delete from penstock.aside a
    using mine
    where a.seq = mine.seq
), leased as (
    insert into penstock.leased (owner, seq, claimed)
    select :owner, seq, :now
    from mine
)
update penstock.busy b
set last = run.last
from (select queue, key, max(seq) as last from mine group by queue, key) run
where b.queue = run.queue and b.key = run.key

-- name: vacate
with held as (
    update penstock.busy
    set owner = null
    where queue = :queue and key in (select jsonb_array_elements_text(:keys::text::jsonb)) and last > 0
)
delete from penstock.busy
where queue = :queue and key in (select jsonb_array_elements_text(:keys::text::jsonb)) and last = 0

-- name: set_aside
with met as materialized (
    select queue, rank, seq, key
    from penstock.message
    where seq in (select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb))
), gone as (
    delete from penstock.ready r
    using met
    where r.queue = met.queue and r.rank = met.rank and r.seq = met.seq
)
insert into penstock.aside (seq, queue, key, rank)
select seq, queue, key, rank
from met
