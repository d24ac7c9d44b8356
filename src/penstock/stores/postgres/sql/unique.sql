-- Unique names. Whatever locks several does so in their order, byte by byte; `take` brings them in it.

-- name: take_unique
insert into penstock.unique as u (name, job, taken, ends, held)
select r.name, r.job, r.taken, r.ends, r.held
from unnest(:rows(text, text, bigint, bigint, boolean)) with ordinality as r (name, job, taken, ends, held, n)
order by r.n
on conflict (name) do update set
    job = case when not u.held and u.ends <= excluded.taken then excluded.job else u.job end,
    taken = case when not u.held and u.ends <= excluded.taken then excluded.taken else u.taken end,
    ends = case when not u.held and u.ends <= excluded.taken then excluded.ends else u.ends end,
    held = case when not u.held and u.ends <= excluded.taken then true else u.held end
returning name, job, held

-- name: free_unique
with locked as materialized (
    select name
    from penstock.unique
    where name = any (array(select jsonb_array_elements_text(:names::text::jsonb)))
        and job = any (array(select jsonb_array_elements_text(:jobs::text::jsonb)))
    order by name
    for update
)
delete from penstock.unique u
using locked
where u.name = locked.name and (u.ends <= :now or u.ends = u.taken)

-- name: loosen_unique
with locked as materialized (
    select name
    from penstock.unique
    where name = any (array(select jsonb_array_elements_text(:names::text::jsonb)))
        and job = any (array(select jsonb_array_elements_text(:jobs::text::jsonb)))
    order by name
    for update
)
update penstock.unique u
set held = false
from locked
where u.name = locked.name

-- name: forget_unique
delete from penstock.unique
where name = any (
    array(
        select name
        from penstock.unique
        where not held and ends <= :now
        limit :limit
        for update skip locked
    )
)

-- name: keep_unique
with locked as materialized (
    select name
    from penstock.unique
    where name = any (array(select jsonb_array_elements_text(:names::text::jsonb)))
        and job = any (array(select jsonb_array_elements_text(:jobs::text::jsonb)))
    order by name
    for update
)
update penstock.unique u
set held = true
from locked
where u.name = locked.name
returning u.name, u.job

-- name: who_holds
select job
from penstock.unique
where name = :name and (held or ends > :now)
