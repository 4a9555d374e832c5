"""Redis, and all that is known of it: commands, replies, and what its errors mean.

An answer is one string, `owner (16) | sealed`, under `<prefix>:<name in hex>`, with an expiry. Its age is what is gone
of its life, by the clock of Redis, which is the same for all nodes: their own clocks may differ. That a reply belongs
to the question that was asked is not taken on trust: the seal says so.

Nothing is repeated here and no reply is waited for beyond what the caller allows: who cancels a command gives its
connection up with it.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from edgeclient.cache.link import LinkError, Trouble
from edgeclient.cache.seal import TAG_BYTES

_CONNECTIONS = 16
_SCAN_COUNT = 1000
_LIMIT_S = 5.0  # of one command, whatever its caller allows


class RedisLink:
    """Connections to one Redis, as a `Link`; made when they are needed.

    Args:
        url: Where it is; holds no credential.
        user, password: The credential; "" for none.
        ca_file: PEM file with a private CA; "" for none.
        prefix: Names begin with it.
    """

    def __init__(self, url: str, *, user: str, password: str, ca_file: str, prefix: str) -> None:
        options: dict[str, Any] = {"ssl_ca_certs": ca_file, "ssl_cert_reqs": ssl.CERT_REQUIRED} if ca_file else {}
        pool = redis.BlockingConnectionPool.from_url(
            url,
            username=user or None,
            password=password or None,
            max_connections=_CONNECTIONS,
            timeout=_LIMIT_S,
            socket_timeout=None,  # with one, a cancellation gets lost now and then (wait_for before Python 3.12)
            socket_connect_timeout=_LIMIT_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,  # a connection needs no introduction: it costs round trips of its own
            **options,
        )
        self._redis = redis.Redis.from_pool(pool)
        self._prefix = prefix

    async def get(self, name: bytes) -> tuple[bytes, bytes, int] | None:
        """Owner, sealed body and the milliseconds left of its life; None: there is none."""
        key = self._key(name)
        with _translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(key)
                pipe.pttl(key)
                value, left_ms = await pipe.execute()
        if not isinstance(value, bytes) or len(value) <= TAG_BYTES or left_ms < 0:
            return None
        return value[:TAG_BYTES], value[TAG_BYTES:], int(left_ms)

    async def put(self, name: bytes, owner: bytes, sealed: bytes, *, life_ms: int) -> None:
        """Store in place of the one before."""
        with _translated():
            await self._redis.set(self._key(name), owner + sealed, px=life_ms)

    async def forget(self, owner: bytes) -> int:
        """Remove all of an owner; looks at everything under the prefix. Returns how many."""
        count = 0
        with _translated():
            cursor = 0
            while True:
                cursor, keys = await self._redis.scan(cursor, match=f"{self._prefix}:*", count=_SCAN_COUNT)
                async with self._redis.pipeline(transaction=False) as pipe:
                    for key in keys:
                        pipe.getrange(key, 0, TAG_BYTES - 1)
                    owners = await pipe.execute() if keys else []
                if mine := [key for key, whose in zip(keys, owners, strict=True) if whose == owner]:
                    count += await self._redis.unlink(*mine)
                if not cursor:
                    return count

    async def ping(self) -> None:
        """See whether it answers."""
        with _translated():
            await self._redis.ping()

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _key(self, name: bytes) -> str:
        return f"{self._prefix}:{name.hex()}"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise _translation(error) from None


def _translation(error: Exception) -> LinkError:
    cause = error.__cause__ if isinstance(error.__cause__, RedisError) else error  # of a connection that was refused
    said = str(cause) or type(cause).__name__
    match cause:
        case AuthenticationError() | AuthorizationError():
            cure = "check cache.redis_user and cache.redis_password_file, or the variable REDIS_PASSWORD"
            return LinkError(Trouble.DENIED, f"it refuses the credential ({said}); {cure}")
        case NoPermissionError():
            return LinkError(Trouble.DENIED, f"its user may not do this ({said})")
        case OutOfMemoryError() | ReadOnlyError():
            return LinkError(Trouble.NO_WRITES, said)
        case _:
            return LinkError(Trouble.DOWN, said)
