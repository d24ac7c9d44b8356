-- Unique names.

-- name: take_unique
insert into penstock_unique (name, job, taken, ends, held)
values :rows
on conflict (name) do update set
    job = case when penstock_unique.held = 0 and penstock_unique.ends <= excluded.taken then excluded.job else penstock_unique.job end,
    taken = case when penstock_unique.held = 0 and penstock_unique.ends <= excluded.taken then excluded.taken else penstock_unique.taken end,
    ends = case when penstock_unique.held = 0 and penstock_unique.ends <= excluded.taken then excluded.ends else penstock_unique.ends end,
    held = case when penstock_unique.held = 0 and penstock_unique.ends <= excluded.taken then 1 else penstock_unique.held end
returning name, job, held

-- name: free_unique
delete from penstock_unique
where name in (select value from json_each(:names))
    and job in (select value from json_each(:jobs))
    and (ends <= :now or ends = taken)

-- name: loosen_unique
update penstock_unique
set held = 0
where name in (select value from json_each(:names)) and job in (select value from json_each(:jobs))

-- name: forget_unique
delete from penstock_unique
where name in (
    select name
    from penstock_unique
    where held = 0 and ends <= :now
    limit :limit
)

-- name: keep_unique
update penstock_unique
set held = 1
where name in (select value from json_each(:names)) and job in (select value from json_each(:jobs))
returning name, job

-- name: who_holds
select job
from penstock_unique
where name = :name and (held = 1 or ends > :now)
