"""The road joins stages in the order in which they are written."""

from builders import call

from edgeclient.core.call import Call, Handler, Reply, road


class _Mark:
    def __init__(self, name: str, seen: list[str]) -> None:
        self._name = name
        self._seen = seen

    async def __call__(self, call: Call, forward: Handler) -> Reply:
        self._seen.append(f"{self._name} in")
        reply = await forward(call)
        self._seen.append(f"{self._name} out")
        return reply


async def test_stages_are_travelled_as_written_and_back() -> None:
    seen: list[str] = []

    async def end(_call: Call) -> Reply:
        seen.append("end")
        return Reply()

    await road(_Mark("first", seen), _Mark("second", seen), to=end)(call())

    assert seen == ["first in", "second in", "end", "second out", "first out"]
