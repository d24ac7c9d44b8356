"""What the engine tells whoever listens: logs, metrics, the worker's screen, tests that wait for something to happen."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from penstock.model.delivery import Delivery
from penstock.model.outcome import Outcome


class WorkerStarted(Struct, frozen=True):
    incarnation: int
    queues: tuple[str, ...]


class WorkerStopped(Struct, frozen=True):
    incarnation: int
    released: int


class WorkerRescued(Struct, frozen=True):
    """Another worker was found dead; its messages are visible again, or dead letters."""

    incarnation: int
    released: int
    dead: int


class Claimed(Struct, frozen=True):
    count: int


class Started(Struct, frozen=True):
    """Only sent while somebody listens to single deliveries."""

    delivery: Delivery


class Ended(Struct, frozen=True):
    """Only sent while somebody listens to single deliveries."""

    delivery: Delivery
    outcome: Outcome
    seconds: float


class Settled(Struct, frozen=True):
    """One settle was written; `lost` deliveries were another worker's by then."""

    count: int
    lost: int


class Trouble(Struct, frozen=True):
    """A service met an error; it rests and goes on."""

    where: str
    error: BaseException


class LoopBlocked(Struct, frozen=True):
    """The event loop has not run for `seconds`; `stack` is what it is doing."""

    seconds: float
    stack: str


class JobStuck(Struct, frozen=True):
    """A job runs much longer than it should: half of its timeout, or `stuck_after` where it has none. Sent once for each run.

    `worker` is the name it is listed under; `stack` says where the handler stands, or which process it runs in.
    """

    job_id: str
    task: str
    worker: str
    seconds: float
    stack: str


Event: TypeAlias = WorkerStarted | WorkerStopped | WorkerRescued | Claimed | Started | Ended | Settled | Trouble | LoopBlocked | JobStuck
