"""Growing waits, counted in Redis or Valkey by a script that runs whole or not at all."""

from typing import Any

from limits.storage import RedisStorage

from .delays import FORGOTTEN_AFTER, WAITS

# By the server's clock. Answers the milliseconds to wait, 0 where the try was counted.
_TRY = """
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'count', 'free_at')
local left = (tonumber(known[2]) or 0) - now
if left > 0 then return left end
local count = (tonumber(known[1]) or 0) + 1
local wait = tonumber(ARGV[math.min(count, #ARGV - 1) + 1]) * 1000
redis.call('HSET', KEYS[1], 'count', count, 'free_at', string.format('%.0f', now + wait))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', wait + ARGV[1] * 1000))
return 0
"""
_GIVE_BACK = """
local count = tonumber(redis.call('HGET', KEYS[1], 'count'))
if count then redis.call('HSET', KEYS[1], 'count', math.max(0, count - 1), 'free_at', 0) end
"""


class RedisDelays:
    """As `Delays`. Its keys share the prefix of the storage's, so that a reset reaches both."""

    def __init__(self, storage: RedisStorage) -> None:
        """`storage` has the connection."""
        self._storage = storage
        client: Any = storage.get_connection()
        self._try = client.register_script(_TRY)
        self._give_back = client.register_script(_GIVE_BACK)

    def hit(self, key: str) -> float:
        """As `Delays.hit`."""
        return int(self._try([self._storage.prefixed_key(key)], [FORGOTTEN_AFTER, *WAITS])) / 1000

    def give_back(self, key: str) -> None:
        """As `Delays.give_back`."""
        self._give_back([self._storage.prefixed_key(key)])

    def forget(self, key: str) -> None:
        """As `Delays.forget`."""
        self._storage.clear(key)
