-- A small store in which something is everywhere, in words that both dialects understand.
insert into penstock.message (seq, id, queue, task, rank, key, due, expires, enqueued, failures, body, type)
values
    (1, 'ready', 'mail', 'send', 5, null, null, null, 1, 0, 'letter', null),
    (2, 'keyed', 'mail', 'send', 3, 'k', null, 50, 2, 0, 'letter', null),
    (3, 'later', 'mail', 'send', 5, null, 70, null, 3, 0, 'parcel', null),
    (4, 'retry', 'mail', 'post', 5, 'k', 60, 90, 4, 2, 'parcel', null),
    (5, 'aside', 'mail', 'send', 5, 'k', null, 40, 5, 0, 'parcel', null),
    (6, 'stray', 'mail', 'count', 5, null, null, null, 6, 0, 'letter', null),
    (7, 'suspect', 'Post', 'send', 5, null, null, null, 7, 0, 'letter', null),
    (8, 'running', 'mail', 'send', 5, null, null, 30, 8, 1, 'letter', 'Paid'),
    (9, 'done', 'mail', 'send', 5, null, null, 20, 9, 0, 'letter', null),
    (10, 'dead', 'mail', 'post', 5, 'k', null, null, 10, 3, 'letter', null),
    (11, 'dead2', 'Post', 'post', 5, null, null, null, 11, 1, 'parcel', null),
    (12, 'lost', 'lost', 'count', 5, null, null, null, 12, 0, 'letter', null),
    (13, 'lost2', 'lost', 'count', 4, null, 80, null, 13, 0, 'letter', null);

insert into penstock.ready (queue, rank, seq, key) values ('mail', 5, 1, null), ('mail', 3, 2, 'k'), ('lost', 5, 12, null);

insert into penstock.later (queue, due, seq) values ('mail', 70, 3), ('mail', 60, 4), ('lost', 80, 13);

insert into penstock.aside (seq, queue, key, rank, stray) values (5, 'mail', 'k', 5, null), (6, 'mail', null, 5, 'count');

insert into penstock.suspect (seq, queue, rank) values (7, 'Post', 5);

insert into penstock.leased (owner, seq, claimed) values (1, 8, 15), (9, 1, 15);

insert into penstock.cancel (owner, seq) values (1, 8);

insert into penstock.finished (seq, queue, outcome, ended, attempt, owner, note) values (9, 'mail', 'done', 25, 1, 1, 'too large');

insert into penstock.dead (seq, queue, task, reason, died, attempts, error, message, traceback)
values (11, 'Post', 'post', 'rejected', 21, 1, null, null, null), (10, 'mail', 'post', 'failed', 22, 3, 'E', 'm', 't');

insert into penstock.attempt (seq, number, what, at, owner, error, message, traceback)
values (10, 1, 'failed', 5, 'w', 'E', 'm', 't'), (10, 2, 'dead', 6, 'w', null, null, null), (8, 1, 'died', 7, 'w', null, null, null);

insert into penstock.progress (seq, fraction, note, at) values (8, 0.5, 'half', 16);

insert into penstock.counter (queue, waiting, delayed, running, dead, done, kept)
values ('mail', 4, 2, 1, 1, 1, 1), ('Post', 1, 0, 0, 1, 0, 0), ('lost', 1, 1, 0, 0, 0, 0);

insert into penstock.worker (incarnation, app, name, pid, host, started, beat, lease, queues, tasks, hooks)
values
    (1, 'app', 'w1', 1, 'here', 2, 5, 15, '["mail"]', '["send"]', '[]'),
    (2, 'app', 'w2', 2, 'here', 1, 6, 15, '["Post", "sub"]', '["count", "send", "sub"]', '["count"]'),
    (3, 'app', 'w3', 3, 'here', 3, 7, 15, '["old"]', '["old"]', '[]');

insert into penstock.hook (task) values ('count'), ('send'), ('post');

insert into penstock.setting (scope, name, value, by, at)
values
    ('queue:mail', 'max_waiting', '7', 'me', 1),
    ('queue:Post', 'paused', 'true', 'me', 1),
    ('worker:1', 'blocked', '"stack"', 'beat', 1),
    ('schedule:a@app', 'paused', 'true', 'me', 1);

insert into penstock.limit (queue, name, value, app) values ('mail', 'concurrency', '3', 'app');

insert into penstock.bucket (queue, rate, level, at) values ('mail', '1/s', 5, 6);

insert into penstock.wish (subscription, incarnation, types, gone)
values ('news', 2, '["Paid"]', null), ('news', 7, null, 10), ('gone', 8, null, null), ('all', 3, null, null);

insert into penstock.unique (name, job, taken, ends, held)
values ('send/a', 'ready', 1, 1, true), ('send/b', 'done', 1, 99, false), ('send/c', 'done', 1, 2, false);

insert into penstock.definition (app, name, digest, generation, definition)
values ('app', 'a', 'd1', 1, 'one'), ('app', 'a', 'd2', 2, 'two'), ('app', 'b', 'd3', 2, 'three'), ('app', 'c', 'd4', 2, 'four');

insert into penstock.declaration (incarnation, app, name, digest)
values (1, 'app', 'a', 'd1'), (2, 'app', 'a', 'd2'), (2, 'app', 'c', 'd4'), (9, 'app', 'b', 'd3');

insert into penstock.schedule (app, name, digest, definition, anchor, next, live)
values ('app', 'a', 'd1', 'one', 1, 30, true), ('app', 'b', 'd3', 'three', 1, 20, true), ('app', 'e', 'd5', 'five', 1, null, true);
