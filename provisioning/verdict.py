"""How commands that verify something print what they found."""

from typing import Any

from ..config.errors import VerificationError
from ..platform.console.invocation import Invocation


def print_verdict(invocation: Invocation, document: dict[str, Any], sentence: str, problems: list[str]) -> None:
    """Print a report. Raises `VerificationError` where there are problems, after they were listed."""
    invocation.output.done("\n".join(problems) or sentence, document)
    if problems:
        raise VerificationError(f"Verification failed: {len(problems)} thing(s) are open that must be closed.")
