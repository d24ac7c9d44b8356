-- name: put_messages
with incoming as (
    select *
    from unnest(:rows(text, text, text, smallint, text, bigint, bigint, bigint, boolean, bytea, bytea, bytea))
        with ordinality as r (id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body, n)
), kept as (
    insert into penstock.message (id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body)
    select id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body
    from incoming
    order by n
    on conflict (id) do nothing
    returning seq, id, queue, rank, key, due
), at_once as (
    insert into penstock.ready (queue, rank, seq, key)
    select queue, rank, seq, key
    from kept
    where due is null
), delayed as (
    insert into penstock.later (queue, due, seq)
    select queue, due, seq
    from kept
    where due is not null
), counted as (
    insert into penstock.delta (queue, waiting, delayed)
    select queue, count(*) filter (where due is null), count(*) filter (where due is not null)
    from kept
    group by queue
)
select id
from kept
