"""The example file: every setting with its help, its limits and its default, made from the schema.

A line that begins with `#` and a letter is a setting at its default; taking the `#` away changes nothing until the
value is changed. Text begins with `#` and a space. A test takes away every such `#` and compares with the defaults, so
the example cannot tell anything else than the program does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from textwrap import wrap
from typing import Any, cast

from edgeclient.config.notation import as_toml
from edgeclient.config.row_schema import ROWS
from edgeclient.config.schema import SECTIONS
from edgeclient.config.setting import default_of, reloads

_WIDTH = 100
_RELOADS = "Takes effect without a restart."
_UNITS = {"_s": "seconds", "_bytes": "bytes"}

_HEAD = """\
# Configuration of edgeclient. Every setting stands here with its default: take away the "#" before a name to change it.
#
# A value comes from the first of these that has it: the flag --set section.name=value, the environment variable
# EDGECLIENT_SECTION_NAME, this file, the default. `edgeclient config show` tells each value and where it comes from,
# `edgeclient config check FILE` whether a file is right. Settings take effect at the next start unless they say
# otherwise; a running daemon takes those over soon after the file has changed, or at once on SIGHUP. The API key does
# not belong here: see upstream.api_key_file.
"""

_TABLES = """\
# Models. The usual ones are built in. A table changes a fact of a model or adds one; a name with a dot needs quotes.
#
#     [models."qwen3.8-max"]
#     max_output_tokens = 65_536
#
#     [models.my-model]
#     aliases = ["mine"]                # other names that callers may use
#     context_window_tokens = 131_072   # input and output together; 0: unknown
#     max_output_tokens = 8_192         # 0: unknown
#     max_reasoning_tokens = 0          # 0: unknown or none
#     thinking = "never"                # never, off (unless asked for), on (unless asked not to), always
#     thinking_needs_stream = false     # reasons only when the answer is streamed
#     stream_only = false               # answers only as a stream
#     limits_reasoning = false          # knows max_completion_tokens
#     takes_effort = false              # knows reasoning_effort
#     tools = true                      # can call tools
#     json_mode = true                  # can answer in JSON
#     modalities = []                   # besides text: image, audio, video
"""

_EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "targets": {"name": "singapore", "base_url": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"},
    "prices": {"model": "qwen-plus"},
    "limits": {"model": "qwen-plus"},
    "callers": {"name": "camera-7"},
}
"""What a row has to say, and an example of it."""


def example() -> str:
    """The text of the example file."""
    sections = ["\n".join(_section(name, cls)) + "\n" for name, cls in SECTIONS.items()]
    return "\n".join((_HEAD, *sections, _TABLES, *("\n".join(_rows(name, cls)) + "\n" for name, cls in ROWS.items())))


def _rows(name: str, cls: type) -> Iterator[str]:
    """A row with an example of what it is about and the default of everything else."""
    yield f"# {(cls.__doc__ or '').splitlines()[0]}"
    if all(map(reloads, fields(cast("Any", cls)))):
        yield f"# {_RELOADS}"
    yield "#"
    yield f"#     [[{name}]]"
    examples = _EXAMPLES[name]
    for spec in fields(cast("Any", cls)):
        value = examples.get(spec.name, default_of(spec))
        yield f"#     {spec.name} = {as_toml(value)}  # {' '.join(_sentences(spec))}"


def _section(name: str, cls: type) -> Iterator[str]:
    yield f"# {(cls.__doc__ or '').splitlines()[0]}"
    yield f"[{name}]"
    for spec in fields(cast("Any", cls)):
        yield ""
        for line in wrap(" ".join([*_sentences(spec), *([_RELOADS] if reloads(spec) else [])]), _WIDTH):
            yield f"# {line}"
        yield f"#{spec.name} = {as_toml(default_of(spec))}"


def _sentences(spec: Any) -> Iterator[str]:
    facts = spec.metadata
    yield facts["help"]
    unit = next((f" {unit}" for suffix, unit in _UNITS.items() if spec.name.endswith(suffix)), "")
    least, most = (as_toml(facts[bound]) if facts[bound] is not None else "" for bound in ("least", "most"))
    if facts["choices"]:
        yield f"One of {', '.join(facts['choices'])}."
    elif least and most:
        yield f"{least} to {most}{unit}."
    elif least:
        yield f"At least {least}{unit}."
    elif most:
        yield f"At most {most}{unit}."
