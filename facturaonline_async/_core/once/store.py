"""Protocol of a store: where creates are recorded before they are sent."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeAlias

from attrs import define, field

from facturaonline_async._core.once.states import Origin, StepState

__all__ = ["ANYWAY", "Grant", "Key", "Pending", "Result", "Seen", "Store", "Subscription"]

#: Identifies one object: (kind, owner, *natural key), such as ("series", fingerprint of the keys, "F", "factura").
Key: TypeAlias = tuple[Hashable, ...]


#: Mark of a create that ignores what exists: `Store.begin` never refuses it.
ANYWAY: Final = "anyway"


@define(eq=False)  # never changed; a frozen class takes twice as long to make, in each create
class Pending:
    """What a store knows about an object that lists may not show yet.

    Attributes:
        state: INTENT or UNKNOWN: it may exist. DONE or UNRESOLVED: the API confirmed it.
        seconds: Seconds until lists must show it.
        uid: Its uid, or None.
        origin: ADOPTED if it was read, and not created.

    """

    state: StepState
    seconds: float
    uid: str | None = None
    origin: Origin | None = None


@define(eq=False)  # never changed; a frozen class takes twice as long to make, in each create
class Seen:
    """What a store knew about a key before the caller listed the objects.

    Attributes:
        key: The key.
        mark: Opaque; `Store.begin` compares it.
        pending: The create that lists may not show yet, or None.

    """

    key: Key
    mark: object
    pending: Pending | None = None


@define(eq=False)  # never changed; a frozen class takes twice as long to make, in each create
class Grant:
    """Permission to send one create.

    Attributes:
        key: Key of the object.
        mark: Opaque; identifies this create in its store.
        asked_at: Time of `shared_clock` when the store was asked, if other processes may act on its age; else None.

    """

    key: Key
    mark: object
    asked_at: float | None = None


@define(eq=False)  # never changed; a frozen class takes twice as long to make, in each create
class Result:
    """How a create ended, for the store.

    Attributes:
        state: PLANNED or FAILED: certainly not done. Else as `StepState` says.
        origin: Origin if the state is DONE, else None.
        uids: Uids that a list, a read or the answer gave.
        error: Error of the create, or None.
        is_cancelled: Whether the caller was cancelled, and so waits for no disk: queue the record.

    """

    state: StepState
    origin: Origin | None = None
    uids: tuple[str, ...] = ()
    error: Exception | None = field(default=None, repr=False)
    is_cancelled: bool = False

    @property
    def is_found(self) -> bool:
        """Whether a list or a read showed the object, once or several times."""
        return self.origin is Origin.ADOPTED or self.state is StepState.CONFLICT


class Subscription(Protocol):
    """What changed in a store since the subscription began."""

    def seen(self, key: Key) -> Seen:
        """Return what the store knew about a key when the subscription began.

        `Store.begin` refuses it if another create of the key was pending then, or began since.

        Args:
            key: Key of an object that the caller listed after the subscription began.

        """
        ...


class Store(Protocol):
    """Record of creates; it decides who may send one.

    A caller looks before it lists the objects, and begins only if its list lacks the object and nothing is pending.
    `begin` is conditional on the mark, so that a list that is older than another create never leads to a second one.
    The record that `begin` makes is the lock: there is no other one.
    """

    async def look(self, keys: Iterable[Key]) -> dict[Key, Seen]:
        """Return the knowledge about these keys. Call it **before** the list is read.

        Args:
            keys: Keys of the objects.

        """
        ...

    async def begin(self, seen: Seen, nonce: str) -> Grant | None:
        """Record that a create is about to be sent, durably before this returns.

        If it is cancelled, it withdraws the record, at once or soon.

        Args:
            seen: What `look` or a subscription returned for the key.
            nonce: Random text of this create. The same nonce repeats a `begin` whose attempt was certainly not done.

        Returns:
            The grant, or None if another create of the key began, or its object was found, since: look and list again.

        Raises:
            NotSentError: It could not be recorded, so that nothing may be sent. The create may be pending nevertheless.
                If ``is_transient`` is true, a run of a plan waits until it can be recorded.

        """
        ...

    async def end(self, of: Grant | Seen, result: Result) -> None:
        """Record how a create ended, or what a list showed. It never raises.

        What it fails to record stays as `begin` recorded it: the create is pending for the settle time. An UNRESOLVED
        result of a confirmed create says that its uid belongs to another object: the create stays confirmed, and its
        uid is dropped.

        Args:
            of: The grant, or what `look` returned if nothing was begun.
            result: The outcome.

        """
        ...

    async def forget(self, kind: str, owner: Hashable, uid: str) -> None:
        """Drop the record of an object that was deleted. It never raises.

        What it fails to drop is pending for the rest of its settle time.

        Args:
            kind: Kind of the object, such as ``"series"``.
            owner: Owner of the object, as in its key.
            uid: Uid of the object.

        """
        ...

    def subscribe(self) -> AbstractAsyncContextManager[Subscription]:
        """Return a subscription, for a caller that lists once and creates many.

        Enter it before the list is read.

        Raises:
            NotSentError: The store cannot be reached.

        """
        ...
