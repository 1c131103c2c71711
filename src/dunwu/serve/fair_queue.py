"""A bounded queue in which clients take turns: who asks for much waits behind who asks for little."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Sequence

from dunwu.rollout.builtin.scheduler import SequenceState


class FairQueue:
    """See the module. One thread at a time.

    Args:
        size: sequences that may wait.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._clients: OrderedDict[str, deque[SequenceState]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, client: str, states: Sequence[SequenceState]) -> bool:
        """Put a client's sequences behind its others, all or none; tell whether there was room."""
        if self._count + len(states) > self.size:
            return False
        self._clients.setdefault(client, deque()).extend(states)
        self._count += len(states)
        return True

    def take(self) -> SequenceState:
        """Take the next sequence of the client whose turn it is."""
        client, states = next(iter(self._clients.items()))
        state = states.popleft()
        self._count -= 1
        del self._clients[client]
        if states:
            self._clients[client] = states
        return state

    def list(self) -> list[SequenceState]:
        """Return all that wait."""
        return [state for states in self._clients.values() for state in states]

    def drop(self, gone: Collection[SequenceState]) -> None:
        """Take out sequences that nobody wants any more."""
        for client, states in list(self._clients.items()):
            kept = deque(state for state in states if state not in gone)
            self._count -= len(states) - len(kept)
            if kept:
                self._clients[client] = kept
            else:
                del self._clients[client]
