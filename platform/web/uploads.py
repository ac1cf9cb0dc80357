"""Uploads stay in memory: what somebody photographed must not reach a disk before it is sealed."""

from io import BytesIO
from typing import IO

from flask import Request


class MemoryRequest(Request):
    """A request whose files are never spooled to temporary files, as Werkzeug does above 500 KiB.

    `MAX_CONTENT_LENGTH` bounds the memory that this takes.
    """

    def _get_file_stream(
        self,
        total_content_length: int | None,  # noqa: ARG002  # the overridden signature
        content_type: str | None,  # noqa: ARG002
        filename: str | None = None,  # noqa: ARG002
        content_length: int | None = None,  # noqa: ARG002
    ) -> IO[bytes]:
        return BytesIO()
