"""Granian, whose web processes go on at a reload until those that follow them have loaded the portal.

Granian itself waits for a fixed time. Each of its processes listens for itself, so on a busy machine, where loading
takes longer, a caller would find nobody.
"""

import multiprocessing
import os
import select
import time
from collections.abc import Callable
from typing import Any

from granian.server.mp import MPServer, WorkerProcess

LONGEST = 120.0  # seconds: a process that has not loaded by then will not
_LISTENING = 1.0  # seconds from loaded to listening, on a busy machine
_LOOK = 0.2  # seconds between two looks whether all is to end


class ReloadingGranian(MPServer):
    """Granian of processes with the options that it takes; `respawn_interval` is ours.

    Its own types have gaps: each `ignore` below is one of them.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As Granian's."""
        # What a process loads is made here and cannot be pickled; another method is Python's default from 3.14 on.
        multiprocessing.set_start_method("fork", force=True)
        super().__init__(*arguments, respawn_interval=_LISTENING, **options)  # pyright: ignore[reportUnknownMemberType]

    def _spawn_worker(self, idx: int, target: Any, callback_loader: Callable[[], Any]) -> WorkerProcess:
        if idx not in self.respawned_wrks:  # pyright: ignore[reportUnknownMemberType]
            return super()._spawn_worker(idx, target, callback_loader)  # pyright: ignore[reportUnknownMemberType]
        reader, writer = os.pipe()

        def load() -> Any:
            try:
                return callback_loader()
            finally:
                os.close(writer)

        worker = super()._spawn_worker(idx, target, load)  # pyright: ignore[reportUnknownMemberType]
        begin = worker.start

        def start() -> None:
            begin()
            os.close(writer)
            self._await_end(reader)

        worker.start = start
        return worker

    def _await_end(self, reader: int) -> None:
        """Until nobody holds the other end any more: the process has loaded, or has died."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline and not self.interrupt_signal:
            if select.select([reader], [], [], _LOOK)[0]:
                break
        os.close(reader)
