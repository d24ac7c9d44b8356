-- Putting messages in.

-- name: known_ids
select id
from penstock_message
where id in (select value from json_each(:ids))

-- name: put_messages
insert into penstock_message (id, queue, task, rank, key, due, expires, enqueued, given, headers, options, body)
values :rows

-- name: put_ready
insert into penstock_ready (queue, rank, seq, key)
select queue, rank, seq, key
from penstock_message
where seq > :after and due is null

-- name: put_later
insert into penstock_later (queue, due, seq)
select queue, due, seq
from penstock_message
where seq > :after and due is not null
