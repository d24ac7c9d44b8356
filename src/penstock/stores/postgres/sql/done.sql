-- The common end: a batch that is done, without keys and without anything that follows, in one statement. Who waits for it is counted:
-- for one row alone a plan may go through the table.

-- name: settle_done
with ended as materialized (
    select *
    from unnest(:rows(bigint, bigint, bigint, text, int, bytea, text)) as r (owner, now, seq, queue, attempt, result, note)
), alive as materialized (
    select 1
    from penstock.worker w
    where w.incarnation = (select e.owner from ended e limit 1)
    for key share
), released as (
    delete from penstock.leased
    where owner = (select e.owner from ended e limit 1)
        and seq = any (array(select e.seq from ended e))
        and claimed <= :claimed
        and (select count(*) from alive) >= 0
    returning seq
), stopped as (
    delete from penstock.cancel
    where owner = (select e.owner from ended e limit 1) and seq = any (array(select r.seq from released r))
), kept as (
    insert into penstock.finished (seq, queue, outcome, ended, attempt, owner, result, note)
    select e.seq, e.queue, 'done', e.now, e.attempt, e.owner, e.result, e.note
    from released r
    join ended e on e.seq = r.seq
), counted as (
    insert into penstock.delta (queue, running, done, kept)
    select e.queue, -count(*), count(*), count(*)
    from released r
    join ended e on e.seq = r.seq
    group by e.queue
)
select r.seq, (select count(*) from penstock.watch w where w.seq = r.seq) > 0
from released r

-- name: settle_alike
-- The same for ends that differ in their message only. One message alone needs no order of locks, so not the worker's row: many
-- transactions that share it would each make a new list of those who do.
with alive as materialized (
    select 1
    from penstock.worker w
    where w.incarnation = :owner and not :single
    for key share
), released as (
    delete from penstock.leased
    where owner = :owner and seq = any (:rows(bigint)) and claimed <= :claimed and (select count(*) from alive) >= 0
    returning seq
), stopped as (
    delete from penstock.cancel
    where owner = :owner and seq = any (array(select r.seq from released r))
), kept as (
    insert into penstock.finished (seq, queue, outcome, ended, attempt, owner, result, note)
    select seq, :queue, 'done', :now, :attempt, :owner, :result, :note
    from released
), counted as (
    insert into penstock.delta (queue, running, done, kept)
    select :queue, -count(*), count(*), count(*)
    from released
    having count(*) > 0
)
select r.seq, (select count(*) from penstock.watch w where w.seq = r.seq) > 0
from released r

-- name: put_and_settle
-- What a transaction kept back and its end, where both are plain: `put_alike` and `settle_alike` in one round trip. What is not held
-- any more is not in the answer; then the transaction is rolled back, and the messages with it.
with released as (
    delete from penstock.leased
    where owner = :owner and seq = :ended and claimed <= :claimed
    returning seq
), stopped as (
    delete from penstock.cancel
    where owner = :owner and seq = any (array(select r.seq from released r))
), finished as (
    insert into penstock.finished (seq, queue, outcome, ended, attempt, owner, result, note)
    select seq, :ended_queue, 'done', :now, :attempt, :owner, :result, :note
    from released
), kept as (
    insert into penstock.message (id, queue, task, rank, expires, enqueued, headers, options, body)
    select r.id, :queue, :task, :rank, :expires, :now, :headers, :options,
        substring(:bodies::bytea from r.place for r.size)
    from unnest(string_to_array(:ids, chr(10)), :offsets::text::integer[], :sizes::text::integer[]) as r (id, place, size)
    returning seq
), at_once as (
    insert into penstock.ready (queue, rank, seq)
    select :queue, :rank, seq
    from kept
), counted as (
    insert into penstock.delta (queue, waiting, running, done, kept)
    select :queue, :count, 0, 0, 0
    union all
    select :ended_queue, 0, -1, 1, 1
    from released
)
select r.seq, (select count(*) from penstock.watch w where w.seq = r.seq) > 0
from released r
