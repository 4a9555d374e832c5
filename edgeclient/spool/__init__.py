"""The durable queue: the only room that knows SQLite. See `core/jobs.py` for what it promises."""
