-- Putting messages in.

-- name: put_messages
-- Places are drawn first, in the order given: what comes after may wait for another transaction. Ids that callers chose go in by
-- their own order, and only of those it is said which are new.
with host as materialized (
    select case
        when to_regtype(:mark::text) is null and :mark::text is not null then 'foreign'
        when :flushed::boolean and current_setting('synchronous_commit') = 'off' then 'lax'
    end as refuses
), incoming as materialized (
    select nextval('penstock.message_seq_seq') as seq, r.*
    from unnest(:rows(text, text, text, smallint, text, bigint, bigint, bigint, boolean, bytea, bytea, bytea))
        with ordinality as r (id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body, n)
    where (select h.refuses from host h) is null
    order by r.n
), plain as (
    insert into penstock.message (seq, id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body)
    select seq, id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body
    from incoming
    where not given
    returning seq, id, queue, rank, key, due
), chosen as (
    insert into penstock.message (seq, id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body)
    select seq, id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body
    from incoming
    where given
    order by id
    on conflict (id) do nothing
    returning seq, id, queue, rank, key, due
), kept as materialized (
    select seq, queue, rank, key, due
    from plain
    union all
    select seq, queue, rank, key, due
    from chosen
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
select id, null as refuses
from chosen
union all
select null, refuses
from host
where refuses is not null

-- name: put_alike
-- The same for messages that differ in id and body only, and are due at once: fewer parameters, and nothing to sort out. They come in
-- one text and one body, which drivers pass on as they are: an array they encode value by value, for as long as the server takes.
with host as materialized (
    select case
        when to_regtype(:mark::text) is null and :mark::text is not null then 'foreign'
        when :flushed::boolean and current_setting('synchronous_commit') = 'off' then 'lax'
    end as refuses
), kept as (
    insert into penstock.message (id, queue, task, rank, expires, enqueued, headers, options, body)
    select r.id, :queue, :task, :rank, :expires, :now, :headers, :options,
        substring(:bodies::bytea from r.place for r.size)
    from unnest(string_to_array(:ids, chr(10)), :offsets::text::integer[], :sizes::text::integer[]) as r (id, place, size)
    where (select h.refuses from host h) is null
    returning seq
), at_once as (
    insert into penstock.ready (queue, rank, seq)
    select :queue, :rank, seq
    from kept
), counted as (
    insert into penstock.delta (queue, waiting)
    select :queue, :count
    from host
    where refuses is null
)
select refuses
from host
where refuses is not null

-- name: known_ids
select id
from penstock.message
where id = any (array(select jsonb_array_elements_text(:ids::text::jsonb)))

-- name: options_of
select id, options, penstock.is_over(seq)
from penstock.message
where id = any (array(select jsonb_array_elements_text(:ids::text::jsonb)))

-- name: give_names_back
delete from penstock.unique u
using unnest(:rows(text, text)) as r (name, job)
where u.name = r.name and u.job = r.job
