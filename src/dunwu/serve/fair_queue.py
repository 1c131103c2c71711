"""A bounded queue in which clients take turns, and the users of a client within its turns.

Who asks for much waits behind who asks for little, and nobody gets more turns by naming more users.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Sequence

from dunwu.rollout.builtin.scheduler import SequenceState

Users = OrderedDict[str, deque[SequenceState]]


class FairQueue:
    """See the module. One thread at a time.

    Args:
        size: sequences that may wait.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._clients: OrderedDict[str, Users] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, client: str, states: Sequence[SequenceState], user: str = "") -> bool:
        """Put sequences behind the others of a client's user, all or none; tell whether there was room."""
        if self._count + len(states) > self.size:
            return False
        self._clients.setdefault(client, OrderedDict()).setdefault(user, deque()).extend(states)
        self._count += len(states)
        return True

    def take(self) -> SequenceState:
        """Take the next sequence of the client whose turn it is, and of the user whose turn it is there."""
        client, users = self._clients.popitem(last=False)
        user, states = users.popitem(last=False)
        state = states.popleft()
        self._count -= 1
        if states:
            users[user] = states
        if users:
            self._clients[client] = users
        return state

    def list(self) -> list[SequenceState]:
        """Return all that wait."""
        return [state for users in self._clients.values() for states in users.values() for state in states]

    def drop(self, gone: Collection[SequenceState]) -> None:
        """Take out sequences that nobody wants any more."""
        for client, users in list(self._clients.items()):
            for user, states in list(users.items()):
                users[user] = deque(state for state in states if state not in gone)
                self._count -= len(states) - len(users[user])
                if not users[user]:
                    del users[user]
            if not users:
                del self._clients[client]
