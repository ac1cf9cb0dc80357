"""Every task that a worker runs."""

from importlib import import_module

_MODULES = (
    ".platform.mail.delivery",
    ".platform.mail.upkeep",
    ".platform.portal.access.upkeep",
    ".platform.api.upkeep",
    ".platform.webhooks.tasks",
    ".platform.payments.tasks",
    ".platform.portal.cardfeed.tasks",
    ".platform.limits.tasks",
    ".platform.portal.recovery.tasks",
    ".provisioning.tasks",
    ".backup.tasks",
    ".backup.archive.tasks",
)


def register_tasks() -> None:
    """Register all tasks with the queue, which importing their modules does."""
    for module in _MODULES:
        import_module(module, __package__)
