"""The HTTP API of a running engine, and the client that commands use.

`sockets` and `client` are cheap to import; `server` brings the whole stack.
"""
