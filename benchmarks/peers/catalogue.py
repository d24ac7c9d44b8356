"""Who is measured beside Penstock, and what each keeps its queue in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Where: TypeAlias = Literal["postgres", "file", "redis", "rabbitmq"]
Environment: TypeAlias = Literal["own", "peers", "peers-saq"]


@dataclass(frozen=True)
class Peer:
    name: str
    program: str
    where: Where = "postgres"
    finished: str = ""
    """SQL, on PostgreSQL: how many jobs its tables show as done. The others' programs are asked how many are left."""
    bulk: bool = True
    """It has a verb that puts many jobs, or can put them in one transaction."""
    environment: Environment = "peers"


OWN: Mapping[Where, Peer] = {
    "file": Peer("Penstock", "benchmarks.peers.penstock_queue", "file", environment="own"),
    "postgres": Peer("Penstock", "benchmarks.peers.penstock_queue", environment="own"),
}
"""Penstock, where it is treated as the others are."""

PGQUEUER = Peer("PgQueuer", "benchmarks.peers.pgqueuer_queue", finished="select count(*) from pgqueuer_log where status = 'successful'")
PROCRASTINATE = Peer(
    "Procrastinate",
    "benchmarks.peers.procrastinate_queue",
    finished="select count(*) from procrastinate_jobs where status = 'succeeded'",
)
AWA = Peer(
    "awa",
    "benchmarks.peers.awa_queue",
    finished="select (select coalesce(sum(completed_count), 0) from awa.receipt_completion_batches)"
    " + (select count(*) from awa.done_entries where state = 'completed')"
    " + (select coalesce(sum(pruned_completed_count), 0) from awa.queue_terminal_rollups)",
)
DBOS = Peer("DBOS", "benchmarks.peers.dbos_queue", finished="select count(*) from dbos.workflow_status where status = 'SUCCESS'")
QUEUES = (PGQUEUER, PROCRASTINATE, AWA, DBOS)
"""On a PostgreSQL server."""
EVENTS = (Peer("eventsourcing", "benchmarks.peers.eventsourcing_writers"),)

HUEY = Peer("Huey (SQLite)", "benchmarks.peers.huey_queue", "file", bulk=False)
RQ = Peer("RQ (Redis)", "benchmarks.peers.rq_queue", "redis")
SAQ = Peer("SAQ (Redis)", "benchmarks.peers.saq_queue", "redis", bulk=False, environment="peers-saq")
TASKIQ = Peer("Taskiq (Redis)", "benchmarks.peers.taskiq_queue", "redis", bulk=False)
DRAMATIQ = Peer("Dramatiq (Redis)", "benchmarks.peers.dramatiq_queue", "redis", bulk=False)
CELERY = Peer("Celery (Redis)", "benchmarks.peers.celery_queue", "redis", bulk=False)
DRAMATIQ_RABBITMQ = Peer("Dramatiq (RabbitMQ)", "benchmarks.peers.dramatiq_queue", "rabbitmq", bulk=False)
CELERY_RABBITMQ = Peer("Celery (RabbitMQ)", "benchmarks.peers.celery_queue", "rabbitmq", bulk=False)
BESIDE_FILES = (HUEY, RQ, SAQ, TASKIQ, DRAMATIQ, CELERY, DRAMATIQ_RABBITMQ, CELERY_RABBITMQ, PGQUEUER)
"""Each on what it keeps its queue in, on a server of its own on this machine."""
