"""How many tokens a text has: counted where a tokenizer is on this machine, else estimated. Nothing is downloaded."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["count_tokens", "estimate_tokens"]

_WIDE = re.compile(r"[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")

# Characters a token, measured on examination answers: English 4.8 (o200k, cl100k, Qwen), 4.6 (SmolLM2), 4.1 (XLM-R);
# Chinese 1.5 (o200k), 1.8 (Qwen), 1.7 (XLM-R), 0.9 (cl100k), 0.6 (SmolLM2, an English vocabulary).
_LATIN_PER_TOKEN = 4.6
_WIDE_PER_TOKEN = 1.4
_OTHER_PER_TOKEN = 2.2  # not measured: between the two

_ENCODING_FILES = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, from its scripts: no tokenizer, no exactness.

    ASCII has about 4.6 characters a token, Chinese, Japanese and Korean 1.4, anything else 2.2. Current vocabularies
    are within a third of that on English and Chinese; old or English ones make up to 2.5 times as many of Chinese.
    """
    if text.isascii():
        return round(len(text) / _LATIN_PER_TOKEN)
    wide = len(_WIDE.findall(text))
    ascii_ = len(text.encode("ascii", "ignore"))
    return round(wide / _WIDE_PER_TOKEN + ascii_ / _LATIN_PER_TOKEN + (len(text) - wide - ascii_) / _OTHER_PER_TOKEN)


def count_tokens(text: str, model: str, base_url: str | None = None) -> tuple[int, bool]:
    """How many tokens a text has for a model, without any template around it.

    Args:
        text: the text.
        model: a folder with a `tokenizer.json`; a hub id of which that file is in the hub's cache; or a name that
            tiktoken knows, if it has the vocabulary in its cache (`TIKTOKEN_CACHE_DIR`).
        base_url: a server on this machine, which is asked by its `/tokenize` (llama.cpp's, vLLM's) where nothing
            else knows.

    Returns:
        The number, and whether it was counted (else: estimated).
    """
    counter = _counter(model, base_url)
    if counter is None:
        return estimate_tokens(text), False
    return counter(text), True


@functools.cache
def _counter(model: str, base_url: str | None) -> Callable[[str], int] | None:
    return _from_tokenizer_file(model) or _from_tiktoken(model) or _from_server(model, base_url)


def _from_tokenizer_file(model: str) -> Callable[[str], int] | None:
    if importlib.util.find_spec("tokenizers") is None:
        return None
    file = Path(model) / "tokenizer.json"
    if not file.is_file():
        import huggingface_hub

        try:
            found = huggingface_hub.try_to_load_from_cache(model, "tokenizer.json")
        except ValueError:  # not the form of a hub's name
            return None
        if not isinstance(found, str):
            return None
        file = Path(found)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _from_tiktoken(model: str) -> Callable[[str], int] | None:
    if importlib.util.find_spec("tiktoken") is None:
        return None
    import tiktoken

    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return None
    # tiktoken would download a vocabulary that it has not; its cache names the file by the address's SHA-1.
    named = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    folder = Path(named) if named else Path(tempfile.gettempdir()) / "data-gym-cache"
    address = _ENCODING_FILES.format(name)
    if not (folder / hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()).is_file():
        return None
    encoding = tiktoken.get_encoding(name)
    return lambda text: len(encoding.encode_ordinary(text))


def _from_server(model: str, base_url: str | None) -> Callable[[str], int] | None:
    from calf.engine.server import is_local

    if base_url is None or not is_local(base_url):
        return None
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address = base_url.removesuffix("/v1") + "/tokenize"

    def count(text: str) -> int:
        body = json.dumps({"model": model, "prompt": text, "content": text, "add_special_tokens": False}).encode()
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 - http(s)
        with opener.open(request, timeout=10) as response:
            return len(json.load(response)["tokens"])

    try:
        count("a")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return count
