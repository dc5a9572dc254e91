"""The language of a comparison whose file names none."""

from __future__ import annotations

import re

__all__ = ["infer_language"]

_IDEOGRAPHS = re.compile(r"[㐀-䶿一-鿿豈-﫿\U00020000-\U0003347f]+")
_LETTERS = re.compile(r"[^\W\d_]+")
THRESHOLD = 0.3


def infer_language(*texts: str) -> str:
    """`zh` if more than 30 % of the letters of all texts together are CJK ideographs, else `en`."""
    text = "\n".join(texts)
    if text.isascii():
        return "en"
    ideographs = sum(map(len, _IDEOGRAPHS.findall(text)))
    if not ideographs:
        return "en"
    if ideographs > THRESHOLD * len(text):  # of all characters: no need to count the letters
        return "zh"
    letters = sum(map(len, _LETTERS.findall(text)))
    return "zh" if ideographs > THRESHOLD * letters else "en"
