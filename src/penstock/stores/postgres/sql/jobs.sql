-- Progress, and who waits for an end.

-- name: tell_progress
with told as (
    select *
    from unnest(:rows(bigint, bigint, double precision, text, bigint)) as r (owner, seq, fraction, note, at)
)
insert into penstock.progress (seq, fraction, note, at)
select told.seq, told.fraction, told.note, told.at
from told
join penstock.leased l on l.owner = told.owner and l.seq = told.seq
on conflict (seq) do update set
    fraction = excluded.fraction,
    note = excluded.note,
    at = excluded.at

-- name: forget_progress
delete from penstock.progress
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: watch
-- With the lease locked: a settle that is under way meets the row, or we, behind it, see the end.
with found as materialized (
    select seq, id
    from penstock.message
    where id = :id
), held as materialized (
    select 1
    from penstock.leased
    where owner = any (array(select incarnation from penstock.worker)) and seq = (select seq from found)
    for key share
)
insert into penstock.watch (seq, bell, job)
select seq, :bell, id
from found
where (select count(*) from held) >= 0 and not penstock.is_over(seq)
on conflict (seq, bell) do update set job = excluded.job
returning seq

-- name: anybody_waits
select 1
from penstock.watch
where seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))

-- name: heard
delete from penstock.watch w
where w.seq = any (array(select value::bigint from jsonb_array_elements_text(:seqs::text::jsonb)))
    and (
        exists (select 1 from penstock.finished f where f.seq = w.seq offset 0)
        or exists (select 1 from penstock.dead d where d.seq = w.seq offset 0)
    )
returning job, bell

-- name: forget_watches
with over as materialized (
    select w.seq, w.bell
    from penstock.watch w
    where exists (select 1 from penstock.finished f where f.seq = w.seq offset 0)
        or exists (select 1 from penstock.dead d where d.seq = w.seq offset 0)
        or not exists (select 1 from penstock.message m where m.seq = w.seq offset 0)
    for update of w skip locked
)
delete from penstock.watch w
using over
where w.seq = over.seq and w.bell = over.bell
