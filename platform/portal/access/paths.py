"""Where a form may lead to afterwards."""


def local_path(wanted: str | None) -> str:
    """`wanted` if it is a path on this host, else the start page: a link must not lead elsewhere after sign-in."""
    if wanted and wanted.startswith("/") and wanted[1:2] not in ("/", "\\") and wanted.isprintable():
        return wanted
    return "/"
