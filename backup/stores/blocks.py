"""How an object of a distant store is read as a file: in pieces, so that memory is bounded whatever its size."""

import io
from abc import abstractmethod
from typing import Any

BLOCK = 4 << 20  # bytes that one request reads


class BlockReader(io.RawIOBase):
    """A file that `next_piece` fills."""

    @abstractmethod
    def next_piece(self, most: int) -> bytes:
        """Return the next bytes, at most `most` of them, none at the end."""

    def readable(self) -> bool:
        """It is all that it can do."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill as much of `buffer` as the next piece does; return its length."""
        piece = self.next_piece(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def readall(self) -> bytes:
        """Return the rest."""
        pieces: list[bytes] = []
        while piece := self.next_piece(BLOCK):
            pieces.append(piece)
        return b"".join(pieces)
