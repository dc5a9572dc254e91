"""A scripted translator for the scripted server: it reads the texts out of a request and gives stand-in translations.

A stand-in is as long as a translation would be, keeps the numbers, and is the same for the same text.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

TEXT = re.compile(r'<text_([0-9a-f]{8}) id="(t\d+)" field="(\w+)">\n(.*?)\n</text_\1>', re.S)
WORDS = "river army school letter winter market garden bridge stone paper forest harbour engine village museum".split()
SPELLED = {"一百五十": "150", "一点五": "1.5", "八十年代": "1980s"}
"""Numbers of the sample that are not in digits."""

Change = Callable[[str, str], "str | None"]
"""From a source text and its stand-in to what the translator gives; None: the text is left out."""


def stand_in(text: str) -> str:
    """About 2.9 letters for each ideograph."""
    ideographs = len(re.findall("[一-鿿]", text))
    numbers = re.findall(r"\d+(?:\.\d+)?", re.sub("[①-⑳]", "", unicodedata.normalize("NFC", text)))
    numbers += [digits for numeral, digits in SPELLED.items() if numeral in text]
    seed = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    made: list[str] = []
    while sum(map(len, made)) < 2.9 * ideographs:
        seed, place = divmod(seed, len(WORDS))
        seed = seed or int(hashlib.sha256(" ".join(made).encode()).hexdigest(), 16)
        made.append(WORDS[place])
    return " ".join(["The", *made, *numbers]) + "."


def asked(body: Mapping[str, Any]) -> tuple[str, dict[str, tuple[str, str]]]:
    """The code of a request's tags, and field and text by id: of the latest message that asks for texts."""
    messages = [message["content"] for message in body["messages"] if message["role"] == "user"]
    found = list(TEXT.finditer(messages[0]))
    texts = {match[2]: (match[3], match[4]) for match in found}
    if len(messages) > 1 and "again, whole" in messages[-1]:
        wanted = re.findall(r"^- (t\d+):", messages[-1], re.M)
        texts = {name: texts[name] for name in wanted}
    if len(messages) > 1 and "not in the form" in messages[-1]:
        wanted = re.findall(r"t\d+", re.findall("translations of (.*) only", messages[-1])[0])
        texts = {name: texts[name] for name in wanted}
    return found[0][1], texts


def answer(
    body: Mapping[str, Any], change: Change = lambda text, made: made, terms: Mapping[str, str] | None = None
) -> str:
    """The whole answer, as JSON where the request has a schema, else between tags."""
    mark, texts = asked(body)
    made = {name: change(text, stand_in(text)) for name, (_, text) in texts.items()}
    kept = {name: text for name, text in made.items() if text is not None}
    if "response_format" in body:
        listed = [{"source": a, "target": b} for a, b in (terms or {}).items()]
        return json.dumps({"translations": [{"id": n, "text": t} for n, t in kept.items()], "terms": listed})
    blocks = [f'<text_{mark} id="{name}">\n{text}\n</text_{mark}>' for name, text in kept.items()]
    if terms and f"<terms_{mark}>" in body["messages"][-1]["content"]:
        lines = "\n".join(f"{source} = {target}" for source, target in terms.items())
        blocks.append(f"<terms_{mark}>\n{lines}\n</terms_{mark}>")
    return "\n\n".join(["Here they are:", *blocks])


class Translator:
    """Answers like `answer`, and counts how often each text was asked for; `change` may look at that number."""

    def __init__(
        self, change: Callable[[str, str, int], str | None] | None = None, terms: Mapping[str, str] | None = None
    ) -> None:
        self.times: dict[str, int] = {}
        self.change = change
        self.terms = terms

    def __call__(self, body: dict[str, Any]) -> str:
        for _, text in asked(body)[1].values():
            self.times[text] = self.times.get(text, 0) + 1

        def changed(text: str, made: str) -> str | None:
            return made if self.change is None else self.change(text, made, self.times[text])

        return answer(body, changed, self.terms)
