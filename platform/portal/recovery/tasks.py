"""What a worker does for who has asked for a link. Importing it registers the task."""

from ....config.errors import NotFoundError
from ...control.platform import Platform
from ...jobs.app import task
from ...keys.fields import FieldCipher
from ...mail.delivery import send_soon
from ...tenants import queries as tenants
from ...tenants.states import TenantState
from . import letters


@task(letters.SEND)
def send_recovery_link(platform: Platform, tenant_id: str, account: str, purpose: str) -> None:
    """Send the link if `account` (the blind index of an address) is a member's. A repeat makes a newer one."""
    try:
        with platform.control.connect() as control:
            here = tenants.by_id(control, tenant_id)
    except NotFoundError:
        return
    if here.state is not TenantState.ACTIVE:
        return
    cipher = FieldCipher(platform.keys.tenant(tenant_id))
    with platform.registry.connect(here) as conn:
        with conn.begin():
            sent = letters.send(conn, cipher, platform.settings, here, bytes.fromhex(account), purpose)
        if sent:
            send_soon(conn, platform, here)
