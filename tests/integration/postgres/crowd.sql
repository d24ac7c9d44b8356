-- About 100,000 rows wherever there may be many. They do not fit each other: it is only plans that are looked at.
insert into penstock.message (seq, id, queue, task, rank, key, due, expires, enqueued, body, type, ref_topic, ref)
select n, 'job-' || n, 'q' || n % 10, 't' || n % 7, n % 10, case when n % 2 = 0 then 'k' || n end, n, case when n % 10 = 0 then n end, n, '', 'e', 1, n
from generate_series(1, 100000) n;

insert into penstock.ready (queue, rank, seq, key)
select queue, rank, seq, key
from penstock.message;

insert into penstock.later (queue, due, seq)
select queue, due, seq
from penstock.message;

insert into penstock.aside (seq, queue, key, rank, stray)
select seq, queue, key, rank, case when key is null then task end
from penstock.message;

insert into penstock.busy (queue, key, last, owner)
select 'q' || n % 10, 'k' || n, n, n % 1000
from generate_series(1, 100000) n;

insert into penstock.leased (seq, owner, claimed)
select seq, seq % 1000, 1
from penstock.message;

insert into penstock.cancel (owner, seq)
select seq % 1000, seq
from penstock.message;

insert into penstock.finished (seq, queue, outcome, ended, attempt)
select seq, queue, 'done', seq, 1
from penstock.message;

insert into penstock.dead (seq, queue, task, reason, died, attempts)
select seq, queue, task, '', seq, 1
from penstock.message;

insert into penstock.attempt (seq, number, what, at)
select seq, 1, 'failed', 1
from penstock.message;

insert into penstock.unique (name, job, taken, ends, held)
select 'task/' || seq, id, 1, 1, seq % 10 > 0
from penstock.message;

insert into penstock.progress (seq, fraction, note, at)
select seq, 0, '', 1
from penstock.message;

insert into penstock.watch (seq, bell, job)
select seq, 'ear', id
from penstock.message
where seq % 50 = 0;

insert into penstock.schedule (app, name, digest, definition, anchor, next, live)
select 'app', 's' || n, 'd', '', 1, n, true
from generate_series(1, 10000) n;

insert into penstock.definition (app, name, digest, generation, definition)
select 'app', 's' || n, 'd', 1, ''
from generate_series(1, 10000) n;

insert into penstock.declaration (incarnation, app, name, digest)
select 1, 'app', 's' || n, 'd'
from generate_series(1, 10000) n;

insert into penstock.topic (name, versioned)
select 'topic-' || n, n % 2 = 0
from generate_series(1, 10) n;

insert into penstock.event (pos, topic, at, given, id, type, body, key, version)
select n, 1 + n % 2, n, false, 'event-' || n, 'e', '', 'k' || n % 1000, case when n % 2 = 1 then n end
from generate_series(1, 200000) n;

insert into penstock.stream (topic, key, version)
select 2, 'k' || n, n
from generate_series(1, 100000) n;

insert into penstock.subscription (name, topic, app, hold, cursor, generation, since)
select 'q' || n, 1, 'app', false, n * 10, 0, 1
from generate_series(0, 9) n;

insert into penstock.worker (incarnation, app, name, pid, host, started, beat, lease, queues, tasks, hooks)
select n, 'app', 'w' || n, 1, 'here', 1, 1, 1, '["q1"]', '["t1"]', '[]'
from generate_series(0, 9) n;

insert into penstock.counter (queue, waiting)
select 'q' || n, 10000
from generate_series(0, 9) n;
