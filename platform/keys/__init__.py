"""Key store and field encryption: what keeps tenants' data unreadable without their keys."""

from .credentials import DatabaseCredential
from .emails import normalise_email
from .fields import FieldCipher
from .passwords import dummy_verify, hash_password, verify_password
from .receipts import ReceiptVault, StoredReceipt
from .records import PlatformKeys, TenantKeys
from .store import KeyStore

__all__ = [
    "DatabaseCredential",
    "FieldCipher",
    "KeyStore",
    "PlatformKeys",
    "ReceiptVault",
    "StoredReceipt",
    "TenantKeys",
    "dummy_verify",
    "hash_password",
    "normalise_email",
    "verify_password",
]
