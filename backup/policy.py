"""What each plan promises about backups: shown, and changed by an operator."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from ..config.errors import NotFoundError
from ..platform.audit import queries as operators_audit
from ..platform.control.platform import Platform
from ..platform.protection import queries as protection
from ..platform.protection.policy import Policy, Window, Wishes, policy_of

INSTALLATION = "(settings)"
SETTABLE = ("interval", "days", "weekly", "monthly", "yearly", "window")
ANY = "any"


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """The policy of a plan, and which parts of it are its own; the rest is the installation's."""

    plan: str
    policy: Policy
    own: tuple[str, ...] = ()


def policies(platform: Platform, plan: str | None = None) -> list[PlanPolicy]:
    """Return the policies of all plans, after that of the installation; or that of one. Raises `NotFoundError`."""
    with platform.control.connect() as conn:
        wishes = protection.wishes(conn)
    every = [_of(platform, name, wish) for name, wish in wishes.items()]
    if plan is None:
        return [PlanPolicy(INSTALLATION, policy_of(platform.settings)), *every]
    found = [one for one in every if one.plan == plan]
    if not found:
        raise NotFoundError(f"There is no plan “{plan[:40]}”; there are: {', '.join(wishes)}.")
    return found


def planned(platform: Platform, plan: str, changes: dict[str, Any], defaults: tuple[str, ...] = ()) -> PlanPolicy:
    """Return what a plan's policy would be. `changes`: new values by the names in `SETTABLE`; `defaults`: no own value.

    A window is `22-05` or `any`. Raises `NotFoundError`, `CallError`.
    """
    return _of(platform, plan, _changed(platform, plan, changes, defaults))


def change(
    platform: Platform, plan: str, changes: dict[str, Any], defaults: tuple[str, ...] = (), *, operator: str
) -> PlanPolicy:
    """Change a plan's policy as `planned` says, and return it. It counts from the next run on."""
    wish = _changed(platform, plan, changes, defaults)
    with platform.control.begin() as conn:
        protection.set_wishes(conn, plan, wish)
        operators_audit.record(conn, operator, "backup.policy", detail={"plan": plan, **asdict(wish)})
    return _of(platform, plan, wish)


def keeps_less(before: Policy, after: Policy) -> bool:
    """Say whether backups go that would have stayed."""
    kept = ("days", "weekly", "monthly", "yearly")
    return any(getattr(after, name) < getattr(before, name) for name in kept)


def _changed(platform: Platform, plan: str, changes: dict[str, Any], defaults: tuple[str, ...]) -> Wishes:
    policies(platform, plan)  # or it says that there is no such plan
    with platform.control.connect() as conn:
        wish = protection.wishes(conn)[plan]
    values = {name: value for name, value in changes.items() if value is not None} | dict.fromkeys(defaults)
    if window := values.get("window"):
        values["window"] = None if window == ANY else str(Window.parse(window))
    return replace(wish, **values)


def _of(platform: Platform, plan: str, wish: Wishes) -> PlanPolicy:
    own = tuple(name for name in SETTABLE if getattr(wish, name) is not None)
    return PlanPolicy(plan, policy_of(platform.settings, wish), own)
