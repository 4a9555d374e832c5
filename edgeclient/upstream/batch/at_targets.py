"""File Batch over several targets: new batches are made at one, and each is asked for where it was made.

A file or a batch exists only in the account that made it. So the ids that the queue stores say where, such as
`singapore/batch_7`. An id without such a beginning was made when there was one target alone, and belongs to the first.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from edgeclient.core.errors import Reason, Unavailable
from edgeclient.core.half_price import BatchProvider, LineResult, ProviderBatch
from edgeclient.core.models import ModelSpec
from edgeclient.v1 import chat_pb2

_PARTS = "/"  # no name of a target has it, and no id of the provider


class BatchesAtTargets:
    """See the module. Implements `BatchProvider`.

    Args:
        providers: Those of the targets, by name.
        home: Name of the target at which new batches are made.
        first: Name of the target that ids without a target belong to.
    """

    def __init__(self, providers: Mapping[str, BatchProvider], *, home: str, first: str) -> None:
        self.target = providers[home].target
        self._providers = providers
        self._home = home
        self._first = first

    def line(self, custom_id: str, request: chat_pb2.ChatRequest, model: ModelSpec) -> bytes:
        """See `BatchProvider.line`."""
        return self._providers[self._home].line(custom_id, request, model)

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        """See `BatchProvider.upload`."""
        return self._home + _PARTS + await self._providers[self._home].upload(name, lines)

    async def create(self, file_id: str, *, name: str, window_h: int) -> ProviderBatch:
        """See `BatchProvider.create`."""
        at, provider, file_id = self._found(file_id)
        return _marked(at, await provider.create(file_id, name=name, window_h=window_h))

    async def named(self, name: str, *, file_id: str) -> list[ProviderBatch]:
        """See `BatchProvider.named`."""
        at, provider, file_id = self._found(file_id)
        return [_marked(at, batch) for batch in await provider.named(name, file_id=file_id)]

    async def batch(self, batch_id: str) -> ProviderBatch:
        """See `BatchProvider.batch`."""
        at, provider, batch_id = self._found(batch_id)
        return _marked(at, await provider.batch(batch_id))

    async def cancel(self, batch_id: str) -> None:
        """See `BatchProvider.cancel`."""
        _, provider, batch_id = self._found(batch_id)
        await provider.cancel(batch_id)

    async def results(self, file_id: str, model: ModelSpec) -> AsyncIterator[LineResult]:
        """See `BatchProvider.results`."""
        _, provider, file_id = self._found(file_id)
        async for result in provider.results(file_id, model):
            if result.response is not None:
                result.response.target = provider.target
            yield result

    async def delete(self, file_id: str) -> None:
        """See `BatchProvider.delete`."""
        _, provider, file_id = self._found(file_id)
        await provider.delete(file_id)

    def _found(self, marked_id: str) -> tuple[str, BatchProvider, str]:
        """The name to mark ids with, the provider, and the id there.

        Raises:
            Unavailable: The configuration has no such target any more.
        """
        target, parts, provider_id = marked_id.rpartition(_PARTS)
        provider = self._providers.get(target or self._first)
        if provider is None:
            raise Unavailable(
                Reason.ERROR_REASON_UPSTREAM_UNAVAILABLE,
                f"This batch was made at the target {target!r}, which is not in [[targets]] any more; put it back until"
                " the batch has come to its end",
            )
        return target + parts, provider, provider_id


def made_at(marked_id: str) -> str:
    """Name of the target that an id says; "": it says none."""
    return marked_id.rpartition(_PARTS)[0]


def _marked(mark: str, batch: ProviderBatch) -> ProviderBatch:
    def marked(provider_id: str) -> str:
        return mark + provider_id if provider_id else ""

    return replace(
        batch,
        id=marked(batch.id),
        output_file_id=marked(batch.output_file_id),
        error_file_id=marked(batch.error_file_id),
    )
