"""The response cache: the only room that knows Redis, and the cache's own SQLite file.

See `core/cache.py` for what it promises.
"""
