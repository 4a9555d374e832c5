"""The HTTP/2 engine: `h2` for the protocol, asyncio for the bytes, httpx's transport interface to the outside.

`engine.py` chooses the connection for a request and makes new ones, `dial.py` leads to a socket that speaks, and
`connection.py` and `stream.py` carry requests over it. An engine of our own because the promises of the road are made
here and the libraries at hand keep some of them each, none of them all: a request that is given up is reset at once,
before its headers as well; nothing waits inside for the peer's limit of streams; whether a request was certainly not
processed is a fact and not a text; a connection that died silently is found out before a request is lost on it.
"""
