"""The group `tenant`, with those of its commands that copy rows and so belong to a later layer."""

from .platform.console.commands import LaterCommands
from .provisioning.commands import tenant

tenant.commands = LaterCommands(
    __package__ or "strongroom",
    {
        "rename": ".provisioning.life_commands:rename",
        "invite": ".provisioning.life_commands:invite",
        "clone": ".backup.life_commands:clone",
        "move": ".backup.life_commands:move",
        "erase": ".backup.erasure.commands:erase",
        "certificate": ".backup.erasure.commands:certificate",
        "forget": ".backup.erasure.commands:forget",
    },
    tenant.commands,
)

__all__ = ["tenant"]
