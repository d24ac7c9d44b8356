-- Unique names. Whatever locks several does so in their order, byte by byte; `take` brings them in it.

-- name: take_unique
-- What is known to be another's is only read: locked, its row would keep the settle of that job waiting for the end of this transaction.
with asked as materialized (
    select *
    from unnest(:rows(text, text, bigint, bigint, boolean)) with ordinality as r (name, job, taken, ends, held, n)
), known as materialized (
    select k.name, k.job, k.held
    from asked
    cross join lateral (
        select *
        from penstock.unique u
        where u.name = asked.name and (u.held or u.ends > asked.taken)
        offset 0
    ) k
), taken as (
    insert into penstock.unique as u (name, job, taken, ends, held)
    select a.name, a.job, a.taken, a.ends, a.held
    from asked a
    where a.name not in (select k.name from known k)
    order by a.n
    on conflict (name) do update set
        job = case when not u.held and u.ends <= excluded.taken then excluded.job else u.job end,
        taken = case when not u.held and u.ends <= excluded.taken then excluded.taken else u.taken end,
        ends = case when not u.held and u.ends <= excluded.taken then excluded.ends else u.ends end,
        held = case when not u.held and u.ends <= excluded.taken then true else u.held end
    returning name, job, held
)
select name, job, held
from known
union all
select name, job, held
from taken

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
