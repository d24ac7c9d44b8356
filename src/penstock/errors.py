"""Everything Penstock raises, as one tree.

    PenstockError
    ├── ConfigurationError          the program is wrong: a definition, an option, a URL, a missing extra
    ├── StoreError                  the store could not do it; nothing of the call was kept
    │   ├── StoreUnavailable        cannot be opened or reached, or stayed locked
    │   ├── StoreFull               no space left on the device
    │   ├── StoreReadOnly           the file or its folder cannot be written
    │   ├── StoreCorrupt            the file is damaged or is not a database
    │   ├── SchemaOutdated          the schema is older or newer than this release
    │   ├── QueueFull               `max_waiting` reached, or the writer's own buffer
    │   ├── VersionConflict         `expected=` was not the version found
    │   └── LeaseLost               another worker owns the message now
    ├── PublishUnknown              the reply was lost: retry with the same id
    ├── TransportError              a broker
    │   ├── TransportUnavailable
    │   └── Unroutable
    ├── PayloadError
    │   ├── PayloadTooLarge
    │   └── UndecodablePayload
    │       ├── Unwanted            an event for another release of the subscription: it waits for that one
    │       └── UnknownArgument     this release does not know an argument: retried, for a newer worker to take
    ├── CapabilityMissing
    ├── ChildRaised                 what a handler with isolation="process" raised, as its child process told it
    ├── ChildDied                   its child process crashed, was killed, or could not start
    ├── JobFailed                   `result()` of a job that ended in the dead letters
    ├── JobCancelled                `result()` of a job that was cancelled or expired
    ├── ResultExpired               the history no longer holds the job
    ├── ResultUnavailable           done, but its result was too large or could not be encoded
    ├── TransactionClosed           a transaction used after its end
    └── NotFound                    no such job, dead letter or queue

Each error says what was attempted; credentials in URLs are masked.
"""

from __future__ import annotations


class PenstockError(Exception):
    """The root: catch it to catch everything Penstock raises on its own behalf."""


class ConfigurationError(PenstockError):
    """The program is wrong: a definition, an option, a URL or a missing extra. Retrying does not help."""


class StoreError(PenstockError):
    """The store could not do it. Nothing of the call was kept."""


class StoreUnavailable(StoreError):
    """The store cannot be opened or reached, or stayed locked too long."""


class StoreFull(StoreError):
    """No space is left on the device that holds the store."""


class StoreReadOnly(StoreError):
    """The store's file or folder cannot be written by this user."""


class StoreCorrupt(StoreError):
    """The file is damaged, or is not a database at all."""


class SchemaOutdated(StoreError):
    """The schema in the store is older or newer than this release can use."""


class QueueFull(StoreError):
    """The queue has reached `max_waiting`, or this process has too much waiting to be written."""


class VersionConflict(StoreError):
    """`expected=` was not the version found."""


class LeaseLost(StoreError):
    """Another worker owns the message now; what this one did with it was rolled back."""


class PublishUnknown(PenstockError):
    """The reply was lost: the message may or may not be kept. Retry with the same id."""


class TransportError(PenstockError):
    """A broker could not do it."""


class TransportUnavailable(TransportError):
    """The broker cannot be reached."""


class Unroutable(TransportError):
    """The broker has nowhere to put the message."""


class PayloadError(PenstockError):
    """The payload is the cause."""


class PayloadTooLarge(PayloadError):
    """The encoded payload is over the limit (256 KiB unless configured)."""


class UndecodablePayload(PayloadError):
    """Bytes that are not what the task or type expects."""


class Unwanted(UndecodablePayload):
    """An event of a type that the subscription does not ask for here; another release of it did when it was fed."""


class UnknownArgument(UndecodablePayload):
    """An argument that this release does not know: of a newer one, or of an older one. Retried by the task's policy."""


class CapabilityMissing(PenstockError):
    """The backend cannot do this, and nothing may stand in for it."""


class ChildRaised(PenstockError):
    """What a handler with `isolation="process"` raised. The error itself stayed in its child; this is told of it, as texts."""

    def __init__(self, type: str, message: str, traceback: str, *, gives_up: bool = False) -> None:
        super().__init__(f"{type}: {message}")
        self.type = type
        """The qualified name of its type."""
        self.message = message
        self.traceback = traceback
        self.gives_up = gives_up
        """It is of a type in the task's `Retry(give_up=…)`."""
        self.add_note(traceback)


class ChildDied(PenstockError):
    """The child process of a handler with `isolation="process"` crashed, was killed, or could not start. Says how."""


class JobFailed(PenstockError):
    """The job ended in the dead letters. The text holds the last error."""


class JobCancelled(PenstockError):
    """The job was cancelled, or expired before it started."""


class ResultExpired(PenstockError):
    """The job is no longer in the history."""


class ResultUnavailable(PenstockError):
    """The job is done, but its result was too large or could not be encoded."""


class TransactionClosed(PenstockError):
    """The transaction has ended; nothing more can join it."""


class NotFound(PenstockError):
    """No such job, dead letter or queue in this store."""
