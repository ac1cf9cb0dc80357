"""Made-up members of a demo workspace: at least one for each role, the same in every run."""

import random
from dataclasses import dataclass

DOMAIN = "demo.example"  # RFC 2606: never a real address
# fmt: off
_FIRST = (
    "Amelia", "Ben", "Chloe", "Daniel", "Elif", "Farah", "George", "Hana", "Idris", "Jonas", "Keira", "Liam",
    "Maya", "Nadia", "Oscar", "Priya", "Quinn", "Rosa", "Samir", "Tess", "Umar", "Vera", "Will", "Xenia", "Yusuf",
    "Zoe",
)
_LAST = (
    "Abbott", "Banerjee", "Castillo", "Dunne", "Ekwueme", "Fletcher", "Grant", "Holloway", "Ito", "Jarvis",
    "Khan", "Lindqvist", "Moreau", "Novak", "Okafor", "Pereira", "Quigley", "Rossi", "Sato", "Turner",
    "Underhill", "Varga", "Whitfield", "Yilmaz", "Zielinski",
)
# fmt: on
# The first of each role can sign in under the role's own name: owner@demo.example.
_ROLES = ("owner", "admin", "member", "contributor", "read_only", "member", "contributor", "contributor", "contributor")


@dataclass(frozen=True, slots=True)
class Person:
    """A member to be. `approver` is the position in the list of who approves this person's expenses."""

    name: str
    email: str
    role: str
    approver: int | None


def people(slug: str) -> list[Person]:
    """The members of the workspace `slug`."""
    chance = random.Random(f"people of {slug}")  # noqa: S311 - repeatable on purpose
    names = zip(chance.sample(_FIRST, len(_ROLES)), chance.sample(_LAST, len(_ROLES)), strict=True)
    made: list[Person] = []
    seen: set[str] = set()
    for (first, last), role in zip(names, _ROLES, strict=True):
        local = f"{first}.{last}".lower() if role in seen else role.replace("_", "-")
        seen.add(role)
        made.append(Person(f"{first} {last}", f"{local}@{DOMAIN}", role, _approver(role, len(made))))
    return made


def _approver(role: str, position: int) -> int | None:
    if role == "read_only":
        return None
    # Members and the owner answer to the admin, the admin to the owner, contributors to members and one to the owner.
    return {"owner": 1, "admin": 0, "member": 1, "contributor": {6: 5, 7: 0}.get(position, 2)}[role]
