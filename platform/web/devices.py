"""What a browser calls itself, in words that a person recognises."""

_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
LONGEST_AGENT = 300


def device_of(agent: str) -> str:
    """`Firefox on Windows`, from a User-Agent header; the order matters, they all pretend to be each other."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"


def symbol_of(agent: str) -> str:
    """The name of the icon for a device."""
    return "phone" if any(word in agent for word in ("Mobile", "Android", "iPhone")) else "device-laptop"
