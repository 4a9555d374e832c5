"""The callers that a configuration describes."""

from edgeclient.config.row_schema import ANY, CallerConfig
from edgeclient.config.schema import Config
from edgeclient.core.callers import Caller, Callers, Known
from edgeclient.core.models import Catalogue
from edgeclient.v1 import chat_pb2

_PRIORITIES = {
    "low": chat_pb2.PRIORITY_LOW,
    "normal": chat_pb2.PRIORITY_NORMAL,
    "high": chat_pb2.PRIORITY_HIGH,
}


def callers(config: Config, catalogue: Catalogue) -> Callers:
    """Who may call. The names of models have been checked."""
    made = Callers()
    apply_callers(made, config, catalogue)
    return made


def apply_callers(made: Callers, config: Config, catalogue: Catalogue) -> None:
    """From now on those of this configuration may call."""
    others = next((row for row in config.callers if row.name == ANY), CallerConfig(name=ANY))
    known = [
        Known(
            name=row.name,
            caller=_caller(row, catalogue),
            token_sha256=tuple(row.token_sha256),
            certificates=tuple(row.certificates),
        )
        for row in config.callers
        if row.name != ANY
    ]
    made.apply(known, others=_caller(others, catalogue))


def _caller(row: CallerConfig, catalogue: Catalogue) -> Caller:
    models = frozenset(catalogue.resolve(name).id for name in row.models) if row.models else None
    return Caller(models=models, max_priority=_PRIORITIES[row.max_priority])
