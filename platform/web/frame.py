"""What the frame around every page of a workspace shows: navigation, the approvals waiting, the last backup."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import UUID

from flask import Flask, current_app, request, url_for

from ...tenant_schema.queries import factors, reports
from . import tenant
from .member import CurrentMember, signed_in
from .permissions import Permission


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation. Shown when its endpoint exists and the member has the permission."""

    label: str
    icon: str
    endpoint: str
    permission: Permission
    counts_approvals: bool = False

    @property
    def active(self) -> bool:
        """Whether the page belongs to this entry."""
        here, own = (request.endpoint or "").split(".")[0], self.endpoint.split(".")[0]
        return here == own or request.path.startswith(f"/{own}/")  # settings have pages of several domains


ENTRIES = (
    Entry("Dashboard", "layout-dashboard", "dashboard.index", Permission.USE),
    Entry("Expenses", "receipt", "expenses.index", Permission.SEE),
    Entry("Approvals", "checks", "reports.approvals", Permission.APPROVE, counts_approvals=True),
    Entry("Analytics", "chart-bar", "analytics.index", Permission.ANALYSE),
    Entry("Members", "users", "members.index", Permission.USE),
    Entry("Settings", "settings", "settings.index", Permission.USE),
)


class Frame:
    """The facts of the frame; each is looked up when the template asks for it, and once."""

    @cached_property
    def member(self) -> CurrentMember | None:
        """Who is signed in; None on the pages before sign-in."""
        return signed_in()

    @property
    def workspace(self) -> str:
        """The workspace's name."""
        return tenant.tenant().name

    @cached_property
    def entries(self) -> list[Entry]:
        """The navigation as this member sees it."""
        return [entry for entry in ENTRIES if self.has(entry.endpoint) and self.may(entry.permission)]

    def has(self, endpoint: str) -> bool:
        """Whether the application has such a page."""
        return endpoint in current_app.view_functions

    def may(self, permission: Permission) -> bool:
        """Whether the member may do that."""
        return self.member is not None and self.member.may(permission)

    def may_reset_factors(self, member_id: UUID) -> bool:
        """Whether that other member has a second factor that could be reset."""
        other = self.member is not None and self.member.id != member_id
        return other and factors.has_second_factor(tenant.connection(), member_id)

    @property
    def may_spend(self) -> bool:
        """Whether *Add expense* is offered."""
        return self.has("expenses.new") and self.may(Permission.SPEND)

    @cached_property
    def approvals(self) -> int:
        """How many reports wait for this member's decision."""
        if self.member is None or not self.may(Permission.APPROVE):
            return 0
        return reports.count_waiting(tenant.connection(), self.member.id, self.member.scope(Permission.APPROVE))

    @property
    def last_backup_at(self) -> datetime | None:
        """When this workspace's database was last backed up."""
        return tenant.tenant().last_backup_at

    @property
    def last_verified_at(self) -> datetime | None:
        """When a backup of this workspace was last proved by a restore."""
        return tenant.tenant().last_verified_at

    @property
    def backups_page(self) -> str:
        """Address of the page that shows the backups."""
        return url_for("settings.backups")


def install(app: Flask) -> None:
    """Give every template `frame` and the permissions by name."""

    @app.context_processor
    def add_frame() -> dict[str, object]:  # pyright: ignore[reportUnusedFunction]  # Flask calls it
        if not tenant.has_tenant():
            return {"frame": None, "Permission": Permission}
        return {"frame": Frame(), "Permission": Permission}
