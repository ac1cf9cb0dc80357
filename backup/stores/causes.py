"""Why a store did not do what it was asked, in a few words of ours.

What the libraries say is never shown or logged: it may hold addresses, names of keys and whole answers of the server.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager

from ...config.errors import FailedError, StrongroomError

NO_BUCKET = "no such bucket"

# Looked for in the order given, in lower case. Codes: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_CAUSES: tuple[tuple[str, str], ...] = (
    (r"nosuchbucket|containernotfound|bucket does not exist|not found: bucket", NO_BUCKET),
    (r"invalidaccesskeyid|signaturedoesnotmatch|authenticationfailed", "the credentials are not accepted"),
    (r"unauthenticated|expiredtoken|invalidtoken|\b401\b", "the credentials are not accepted"),
    (r"no authentication methods|authentication failed|bad authentication", "the credentials are not accepted"),
    (r"accessdenied|permission ?denied|allaccessdisabled|forbidden|\b403\b", "access denied"),
    (r"no space|storagefull|quota|insufficient storage|\b507\b", "no space left"),
    (r"slowdown|toomanyrequests|serviceunavailable|\b503\b|\b429\b", "it is overloaded"),
    (r"ssh protocol banner|no existing session", "no SSH server answers"),
    (r"requesttimetooskewed", "the clocks of this machine and the store differ"),
    (r"time[- ]?out|timed out|deadline", "timed out"),
    (r"certificate|tls|ssl error", "its certificate is not trusted"),
    (
        r"error sending request|connect|unreachable|dns|refused|reset|broken pipe|eof|socket is closed|not open",
        "not reachable",
    ),
)

_NOISE = re.compile(r"https?://\S+|retry_timeout|max_retries|<(RequestId|HostId)>[^<]*")  # may look like any of these


@contextmanager
def answering(store: str, doing: str, *failures: type[BaseException]) -> Generator[None]:
    """Turn `failures` of the block into one `FailedError`: the store, what it was to do, and a short cause."""
    try:
        yield
    except StrongroomError:
        raise
    except failures as error:
        if cause(error) == NO_BUCKET:
            raise no_bucket(store) from None
        raise FailedError(f"The backup store “{store}” could not {doing}: {cause(error)}.") from None


def no_bucket(store: str) -> FailedError:
    """Return the error for a store whose bucket was never made, or is gone."""
    return FailedError(f"The backup store “{store}” has no bucket; run: strongroom store init {store}")


def cause(error: BaseException) -> str:
    """Return a few words that hold nothing of what the error says."""
    said = _NOISE.sub("", f"{type(error).__name__} {error}").lower()
    return next((words for pattern, words in _CAUSES if re.search(pattern, said)), "it answered with an error")
