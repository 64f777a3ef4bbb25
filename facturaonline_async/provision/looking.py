"""What a look at a list tells of a thing whose create got no readable answer."""

from __future__ import annotations

from collections.abc import Sequence, Set as AbstractSet
from typing import Final

from facturaonline_async.provision.things import How, Phase, Thing

__all__ = ["judge"]

_MOST_SENDS: Final = 3


def judge(thing: Thing, listed: Sequence[str], before: AbstractSet[str], *, is_due: bool, what: str) -> None:
    """Change a thing to what a list makes of it.

    Args:
        thing: UNKNOWN, UNRESOLVED or CONFLICT.
        listed: uids of those like it that the list has.
        before: uids of those that were there before it was first sent.
        is_due: whether everything that was sent must have shown up by now. Before, only a find counts.
        what: such as "companies with this RFC".

    """
    new = [uid for uid in listed if uid not in before]
    if len(new) == 1:
        thing.phase, thing.how, thing.uid, thing.reason = Phase.DONE, How.ADOPTED, new[0], ""
    elif len(new) > 1:
        thing.phase, thing.reason = Phase.CONFLICT, f"there are {len(new)} {what}: {', '.join(new)}"
    elif not is_due or thing.phase is Phase.UNRESOLVED:
        pass
    elif thing.sends >= _MOST_SENDS:
        thing.phase = Phase.UNRESOLVED
        thing.reason = f"it was sent {thing.sends} times, and has not shown up: {thing.reason}"
    else:
        thing.phase, thing.reason = Phase.PLANNED, ""
