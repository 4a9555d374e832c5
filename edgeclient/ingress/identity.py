"""Who calls: by bearer token, else by client certificate, else nobody in particular.

A token that nobody has is refused, even where tokens are not required: whoever shows one means to be somebody, and must
not find its jobs in a partition that it shares with strangers. Only where no token exists at all is the header ignored.
A certificate that the node's CA has signed proves its name, whether the operator has a row for it or not.
"""

import hashlib
import re
from collections.abc import Callable, Sequence

from edgeclient.core.callers import ANONYMOUS, Callers
from edgeclient.core.errors import Reason, Rejected
from edgeclient.ingress.inbound import Metadata

_SCHEME = "bearer "
_NAME = re.compile(r"[A-Za-z0-9_.:@/-]{1,64}")


class Identity:
    """Names callers.

    Args:
        callers: Who is known.
        required: Refuse who proves nothing.
        certificates: The port asks for client certificates.
    """

    def __init__(self, callers: Callers, *, required: bool = False, certificates: bool = False) -> None:
        self._callers = callers
        self._certificates = certificates
        self.apply(required=required)

    def apply(self, *, required: bool) -> None:
        """From now on refuse who proves nothing, or do not."""
        self._required = required

    def of(self, metadata: Callable[[], Metadata], certificate_names: Callable[[], Sequence[str]]) -> str:
        """The name of a caller.

        Args:
            metadata: Gives what it sent; asked only if there are tokens.
            certificate_names: Gives the names in its verified certificate; asked only if the port wants one.

        Raises:
            Rejected: It shows a token that is nobody's, or proves nothing and has to.
        """
        if self._callers.have_tokens and (token := _token(metadata())):
            name = self._callers.of_token(hashlib.sha256(token.encode()).hexdigest())
            if name is None:
                raise _unauthenticated("the bearer token in the metadata key authorization is nobody's on this node")
            return name
        if self._certificates:
            names = certificate_names()
            name = self._callers.of_certificate(names) or next((each for each in names if _NAME.fullmatch(each)), None)
            if name is not None:
                return name
        if self._required:
            raise _unauthenticated("this node wants to know who calls; send the metadata authorization: Bearer <token>")
        return ANONYMOUS


def _token(metadata: Metadata) -> str:
    """What stands behind `Bearer`; "" if there is no such thing."""
    for key, value in metadata:
        if key == "authorization" and isinstance(value, str) and value[: len(_SCHEME)].lower() == _SCHEME:
            return value[len(_SCHEME) :].strip()
    return ""


def _unauthenticated(sentence: str) -> Rejected:
    return Rejected(Reason.ERROR_REASON_CALLER_UNAUTHENTICATED, sentence)
