"""The catalogue that a configuration describes, with every model name in it checked.

Names of models stand in `chat.default_model`, `chat.aliases` and the rows of several tables; a wrong one is told at the
start, with the path of the setting and the nearest model, and not to the first device that asks.
"""

from edgeclient.config.budgets import budget_problems
from edgeclient.config.row_schema import ANY, LimitConfig
from edgeclient.config.rows import twice
from edgeclient.config.schema import Config
from edgeclient.config.setting import SettingError
from edgeclient.config.target_schema import OTHERS
from edgeclient.core.models import Catalogue, UnknownModelError, canonical_name


def catalogue(config: Config) -> Catalogue:
    """The models of the node.

    Raises:
        SettingError: A setting names a model that there is not.
    """
    if problems := model_problems(config):
        raise SettingError(problems)
    return Catalogue(config.models, default=config.chat.default_model, aliases=config.chat.aliases)


def model_problems(config: Config) -> list[str]:
    """What is wrong with the names of models, each beginning with the path of the setting."""
    if not config.models:
        return ["models: there is none; a node needs at least one"]
    models = Catalogue(config.models, default=config.models[0].id)
    problems = []
    seen: dict[str, str] = {}
    for alias, name in config.chat.aliases.items():
        key = canonical_name(alias)
        if not key:
            problems.append("chat.aliases: an alias is empty")
        elif key in seen:
            problems.append(f"chat.aliases.{alias}: is the same name as {seen[key]}; keep one of them")
        elif sentence := _unknown(models, name):
            problems.append(f"chat.aliases.{alias}: {sentence}")
        seen.setdefault(key, alias)
    default = config.chat.default_model
    if canonical_name(default) not in seen and (sentence := _unknown(models, default)):
        problems.append(f"chat.default_model: {sentence}")
    problems += _row_problems(config, models)
    return problems or budget_problems(config, models)


def _row_problems(config: Config, models: Catalogue) -> list[str]:
    named = [(f"prices[{index}].model", row.model) for index, row in enumerate(config.prices)]
    named += [(f"limits[{index}].model", row.model) for index, row in enumerate(config.limits) if row.model != ANY]
    for name, stand_in in config.route.fallback_models.items():
        named += [(f"route.fallback_models.{name}", each) for each in (name, stand_in)]
    named += [(f"callers[{index}].models", name) for index, row in enumerate(config.callers) for name in row.models]
    named += [(f"targets[{index}].models", name) for index, row in enumerate(config.targets) for name in row.models]
    named += [
        (f"targets[{index}].names.{name}", name)
        for index, row in enumerate(config.targets)
        for name in row.names
        if name != OTHERS
    ]
    problems = [f"{path}: {sentence}" for path, name in named if (sentence := _unknown(models, name))]
    problems += [] if problems else [*_misnamed(config, models), *_unserved(config, models)]
    problems += twice("limits", [_limited(row) for row in config.limits])
    return problems + twice("callers", [row.name for row in config.callers])


def _limited(row: LimitConfig) -> str:
    return f"{row.model} of {row.account}" if row.account else row.model


def _unserved(config: Config, models: Catalogue) -> list[str]:
    """The default model has to be served, and by more than what stands in on the site."""
    rows = [row for row in config.targets if not row.local]
    asked = canonical_name(config.chat.default_model)
    names = {canonical_name(alias): name for alias, name in config.chat.aliases.items()}
    try:
        default = models.resolve(names.get(asked, config.chat.default_model)).id
    except UnknownModelError:  # it was told
        return []
    if not rows or any(not row.models or default in {models.resolve(name).id for name in row.models} for row in rows):
        return []
    return [f"chat.default_model: no target serves {default}; name it in targets[...].models, or choose another one"]


def _misnamed(config: Config, models: Catalogue) -> list[str]:
    """Models that have a name at a target which does not serve them, or two."""
    problems = []
    for index, row in enumerate(config.targets):
        served = {models.resolve(name).id for name in row.models}
        seen: dict[str, str] = {}
        for name in row.names:
            path = f"targets[{index}].names.{name}"
            model_id = OTHERS if name == OTHERS else models.resolve(name).id
            if model_id in seen:
                problems.append(f"{path}: is the same model as {seen[model_id]}; keep one of them")
            elif served and model_id not in served | {OTHERS}:
                problems.append(f"{path}: is none of targets[{index}].models, so it is not asked here; add it there")
            seen.setdefault(model_id, name)
    return problems


def _unknown(models: Catalogue, name: str) -> str:
    if not name.strip():
        return "names no model"
    try:
        models.resolve(name)
    except UnknownModelError as error:
        near = f"; did you mean {' or '.join(error.nearest)}" if error.nearest else ""
        return f"there is no model {name!r}{near}; add a table [models.<id>] for a new one"
    return ""
