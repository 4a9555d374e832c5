"""A simple, documented estimate of tokens.

The real tokenizer is a table of 150,000 pieces; a simulator needs counts that are plausible, repeatable and can be
checked by hand: a token is up to six letters or digits of the Latin script together with one blank before them, or any
single other character. So a Chinese character is one token and an English word one or two. The pieces joined are the
text again, which is what lets a stream be cut at any token.
A message costs four tokens more (role and separators) and a prompt three (the start of the answer), as in ChatML.
"""

import re
from collections.abc import Iterable
from typing import Final

TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_PROMPT: Final = 3
_PIECE: Final = re.compile(r" ?[A-Za-z0-9]{1,6}|[\s\S]")


def split_tokens(text: str) -> list[str]:
    """The pieces of `text`; joined they are `text`."""
    return _PIECE.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens `text` has."""
    return len(_PIECE.findall(text))


def count_prompt(texts: Iterable[str]) -> int:
    """Tokens of a prompt whose messages have these texts."""
    return TOKENS_PER_PROMPT + sum(TOKENS_PER_MESSAGE + count_tokens(text) for text in texts)
