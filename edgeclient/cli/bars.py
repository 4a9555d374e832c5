"""A bar for each of some numbers, in eighths of a character where the output can show them."""

from collections.abc import Sequence

from edgeclient.cli.text_table import width_of

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEAST_CELLS = 8


def bars(rows: Sequence[tuple[str, float, str]], *, width: int, blocks: bool) -> str:
    """One line each: label, bar, number.

    Args:
        rows: Label, value, and how the value is written.
        width: Most characters of a line.
        blocks: The output can show block characters; else the bars are of `#`.
    """
    labels = max((width_of(label) for label, _, _ in rows), default=0)
    numbers = max((len(number) for _, _, number in rows), default=0)
    cells = max(_LEAST_CELLS, width - labels - numbers - 4)
    most = max((value for _, value, _ in rows), default=0.0)
    lines = []
    for label, value, number in rows:
        bar = _bar(value / most * cells if most > 0 else 0.0, blocks=blocks)
        lines.append(f"{label}{' ' * (labels - width_of(label))}  {bar:{cells}}  {number:>{numbers}}".rstrip())
    return "\n".join(lines)


def _bar(cells: float, *, blocks: bool) -> str:
    """What is more than nothing is shown as something."""
    if not blocks:
        return "#" * max(round(cells), int(cells > 0))
    eighths = max(round(cells * 8), int(cells > 0))
    return (_EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
