-- Progress, and who waits for an end.

-- name: tell_progress
with told (owner, seq, fraction, note, at) as (values :rows)
insert into penstock_progress (seq, fraction, note, at)
select told.seq, told.fraction, told.note, told.at
from told
join penstock_leased l on l.owner = told.owner and l.seq = told.seq
where true
on conflict (seq) do update set
    fraction = excluded.fraction,
    note = excluded.note,
    at = excluded.at

-- name: forget_progress
delete from penstock_progress
where seq in (select value from json_each(:seqs))

-- name: watch
insert into penstock_watch (seq, bell, job)
select m.seq, :bell, m.id
from penstock_message m
where m.id = :id
    and not exists (select 1 from penstock_finished f where f.seq = m.seq)
    and not exists (select 1 from penstock_dead d where d.seq = m.seq)
on conflict (seq, bell) do update set job = excluded.job
returning seq

-- name: anybody_waits
select 1
from penstock_watch
where seq in (select value from json_each(:seqs))
limit 1

-- name: heard
delete from penstock_watch
where seq in (select value from json_each(:seqs))
    and (
        exists (select 1 from penstock_finished f where f.seq = penstock_watch.seq)
        or exists (select 1 from penstock_dead d where d.seq = penstock_watch.seq)
    )
returning job, bell

-- name: forget_watches
delete from penstock_watch
where exists (select 1 from penstock_finished f where f.seq = penstock_watch.seq)
    or exists (select 1 from penstock_dead d where d.seq = penstock_watch.seq)
    or not exists (select 1 from penstock_message m where m.seq = penstock_watch.seq)
