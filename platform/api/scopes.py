"""What a token may be limited to. A scope takes away from what its member's role permits, and never adds to it."""

from enum import StrEnum
from typing import Final


class ApiScope(StrEnum):
    """One kind of thing, to read or to change."""

    EXPENSES_READ = "expenses:read"
    EXPENSES_WRITE = "expenses:write"
    RECEIPTS_READ = "receipts:read"
    RECEIPTS_WRITE = "receipts:write"
    REPORTS_READ = "reports:read"
    REPORTS_WRITE = "reports:write"
    MEMBERS_READ = "members:read"

    @property
    def label(self) -> str:
        """What it allows, in words."""
        return LABELS[self]

    @property
    def reads_only(self) -> bool:
        """Whether a token with this scope changes nothing."""
        return self.value.endswith(":read")


LABELS: Final[dict[ApiScope, str]] = {
    ApiScope.EXPENSES_READ: "See expenses and categories",
    ApiScope.EXPENSES_WRITE: "Create, change and delete drafts",
    ApiScope.RECEIPTS_READ: "See and download receipts",
    ApiScope.RECEIPTS_WRITE: "Upload receipts",
    ApiScope.REPORTS_READ: "See reports",
    ApiScope.REPORTS_WRITE: "Submit, withdraw, approve, return, mark as paid",
    ApiScope.MEMBERS_READ: "See the members’ names, e-mail addresses and roles",
}
READ_ONLY: Final = tuple(scope for scope in ApiScope if scope.reads_only)
