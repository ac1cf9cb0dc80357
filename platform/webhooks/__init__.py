"""Webhooks both ways, after the Standard Webhooks specification 1.0 (standardwebhooks.com).

Outgoing: `events` writes what happened into the transaction of the change, `delivery` sends it from the worker.
Incoming: `signature` is the one verification, of what the payment processor and the card feeds send, too.
"""
