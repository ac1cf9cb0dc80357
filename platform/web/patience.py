"""How long the listeners wait for a caller, and which connections have had their time: decisions without I/O.

A caller costs memory while it is connected, and a thread only once its whole request is here (gateway.py). So a slow
one takes nothing from others, and is cut off when it falls below these rates. They follow Apache's mod_reqtimeout: a
first grace, prolonged by what arrives (httpd.apache.org/docs/2.4/mod/mod_reqtimeout.html).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds, unless the name says otherwise."""

    request: float = 10.0  # from the connection to its first whole head of a request, handshake included
    idle: float = 60.0  # between two requests
    body: float = 20.0  # for a body, and one second more for each `rate` bytes of it that are here
    rate: int = 4096  # bytes
    pause: float = 10.0  # between two pieces of a body
    stalled: float = 30.0  # in which a caller must take `step` bytes of an answer, or all that is left
    step: int = 64 * 1024  # bytes
    hurried: float = 2.0  # instead of `request` and `idle`, while many are connected
    owed: int = 512 * 1024 * 1024  # bytes of answers that nobody has taken yet, of all callers: beyond, see `stall`
    look_every: float = 2.0

    def stall(self, owed: int) -> float:
        """Seconds in which a caller must take a step, where all callers together leave `owed` bytes untaken.

        Answers wait in memory. A caller that takes them, however slowly, does so every moment.
        """
        return min(self.stalled, self.hurried) if owed > self.owed else self.stalled

    def body_deadline(self, began: float, received: int) -> float:
        """When a body that began to arrive at `began` has to be whole or longer."""
        return began + self.body + received / self.rate

    def next_deadline(self, began: float, received: int, now: float) -> float:
        """When its next piece has to be here: what came fast earns no long pause."""
        return min(self.body_deadline(began, received), now + self.pause)


@dataclass(slots=True)
class Connection:
    """What is known of one connection. Times are of one monotonic clock."""

    since: float  # seen first
    taken: int = 0  # bytes that the caller had acknowledged at `moved`
    moved: float = 0.0  # when it had last taken a step
    owed_at: int = 0  # bytes acknowledged at `owed_since`
    owed_since: float | None = None  # when more than a step was owed and it had last taken one
    owed: int = 0  # bytes of answers that were not acknowledged when `is_stuck` was asked last

    def note(self, acknowledged: int, waiting: int, now: float, patience: Patience) -> None:
        """Note how far the caller is: bytes acknowledged since the beginning, and how much waits for it."""
        if not waiting:
            self.taken = acknowledged
        elif acknowledged - self.taken >= patience.step:
            self.taken, self.moved = acknowledged, now

    def is_stuck(self, acknowledged: int, answered: int, now: float, patience: Patience, all_owed: int = 0) -> bool:
        """Whether the caller leaves answers where the kernel does not see them: behind a shut window of HTTP/2.

        What was answered and not acknowledged (with all that goes around it) is not taken yet. `all_owed`: how much
        that is of all callers.
        """
        self.owed = max(0, answered - acknowledged)
        if self.owed <= patience.step:
            self.owed_since = None
        elif self.owed_since is None or acknowledged - self.owed_at >= patience.step:
            self.owed_at, self.owed_since = acknowledged, now
        return self.owed_since is not None and now - self.owed_since > patience.stall(all_owed)


def overdue(
    one: Connection, *, ended: float | None, waiting: int, now: float, patience: Patience, crowded: bool
) -> str | None:
    """Why to cut off a connection that has no request at work; None while it has time.

    `ended`: when its last request was answered, None before the first. `waiting`: how much of the answers the caller
    has not taken, 0 for nothing. `crowded`: most places are taken.
    """
    if waiting:
        began = max(one.since, one.moved, ended or 0.0)
        return "reads too slowly" if now - began > patience.stalled else None
    if ended is None:
        limit = patience.hurried if crowded else patience.request
        return "sends no request" if now - one.since > limit else None
    limit = patience.hurried if crowded else patience.idle
    return "is idle" if now - max(ended, one.moved) > limit else None
