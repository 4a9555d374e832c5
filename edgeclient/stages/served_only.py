"""The end of the half-price road in the mode `chat`: the batch endpoint for what it serves, the live one for the rest.

What a job may ask is judged when it is accepted. The settings may have changed since, and a refusal by the endpoint
would be the end of a job that only wanted to be cheap.
"""

from edgeclient.core.call import Call, Handler, Reply
from edgeclient.policy.half_price import Rules, is_served


class ServedOnly:
    """A handler; see the module.

    Args:
        rules: What is served.
        chat: Asks the batch endpoint.
        live: Asks the live one.
    """

    def __init__(self, rules: Rules, *, chat: Handler, live: Handler) -> None:
        self._rules = rules
        self._chat = chat
        self._live = live

    async def __call__(self, call: Call) -> Reply:
        """Answer the call."""
        if call.model is None or not is_served(call.request, call.model, self._rules):
            return await self._live(call)
        if call.before_send is not None:  # there is no line in front of that endpoint, so it is its turn at once
            await call.before_send()
        return await self._chat(call)
