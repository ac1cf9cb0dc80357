"""One attack that was made, and what became of it."""

from dataclasses import dataclass

WATCHED = "allowed to every role, watched by the gate"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attack: `layer` is what stopped it, `None` when nothing did or when nobody can tell.

    `answer` is what the server said to an attack that was neither refused nor got through: it proves nothing.
    """

    attacker: str
    group: str
    what: str
    layer: str | None
    answer: str | None = None

    def sentence(self) -> str:
        """Say what is wrong about an attack that was not stopped."""
        if self.answer:
            return f"{self.attacker} tried {self.what}, which proves nothing: the server answered {self.answer}."
        return f"{self.attacker} got through: {self.what}."
