"""Who calls, and what the operator lets them do.

The name of a caller is the partition of everything that is private to it: jobs, idempotency keys, cached answers,
limits, usage. It comes from what the caller can prove, never from what it says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edgeclient.v1 import chat_pb2

ANONYMOUS = "anonymous"
"""Everybody who proves nothing; all of them are one caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """What one caller may do.

    Attributes:
        models: Ids of the models that may be asked; None: all.
        max_priority: v1 Priority number; a higher one is taken down to it.
    """

    models: frozenset[str] | None = None
    max_priority: chat_pb2.Priority.ValueType = chat_pb2.PRIORITY_HIGH

    def may_ask(self, model_id: str) -> bool:
        """Whether the model is open to this caller."""
        return self.models is None or model_id in self.models


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A caller by name, with what proves it.

    Attributes:
        name: The name.
        caller: What it may do.
        token_sha256: SHA-256 of each of its bearer tokens, in hex.
        certificates: Names in its client certificates; if there is none, its own name.
    """

    name: str
    caller: Caller
    token_sha256: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()


class Callers:
    """All callers; they may change while the node runs.

    Args:
        known: Those that the operator names.
        others: What everybody else may do.
    """

    def __init__(self, known: Iterable[Known] = (), *, others: Caller | None = None) -> None:
        self.apply(known, others=others or Caller())

    def apply(self, known: Iterable[Known], *, others: Caller) -> None:
        """From now on these are the callers. Calls that have begun keep the name that they came by."""
        everybody = tuple(known)
        self._others = others
        self._rules: Mapping[str, Caller] = {each.name: each.caller for each in everybody}
        self._by_token = {digest: each.name for each in everybody for digest in each.token_sha256}
        self._by_certificate = {name: each.name for each in everybody for name in each.certificates or (each.name,)}

    @property
    def have_tokens(self) -> bool:
        """Somebody is known by a token."""
        return bool(self._by_token)

    def of_token(self, sha256: str) -> str | None:
        """Name of the caller whose token has this digest; None: nobody's."""
        return self._by_token.get(sha256)

    def of_certificate(self, names: Iterable[str]) -> str | None:
        """Name of the caller with one of these names in its certificate; None: nobody that the operator names."""
        return next((self._by_certificate[name] for name in names if name in self._by_certificate), None)

    def rules(self, name: str) -> Caller:
        """What a caller may do."""
        return self._rules.get(name, self._others)
