"""BERTScore of plain lists of texts: the fast replacement of `bert_score.score`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from calf.errors import OptionError
from calf.metrics.bertscore_choice import choose
from calf.metrics.bertscore_encoder import TokenEncoder
from calf.metrics.bertscore_matching import Weights, idf_weights, match, rescaled
from calf.metrics.embedding import refuse_longer
from calf.models.device import check_device, find_device, in_threads
from calf.models.kept import KeptVectors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from calf.metrics.bertscore_matching import Triple

__all__ = ["bert_scores"]

_AT_ONCE = 32  # references whose texts are encoded together on a GPU


def bert_scores(
    responses: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    model: str = "auto",
    layer: int | None = None,
    language: str = "en",
    idf: bool | Mapping[int, float] = False,
    rescale: bool = False,
    long: Literal["truncate", "window", "fail"] = "truncate",
    device: str = "auto",
    half: bool = False,
    trust_remote_code: bool = False,
    keep: bool = True,
) -> NDArray[np.float64]:
    """Precision, recall and F1 of each response: `bert_score.score`'s values to 1e-5, several times as fast.

    Every distinct text is encoded once, alone and without padding, by as many threads as torch has, and its vectors are
    kept on disk, so that a second call hardly takes time. An empty response or reference gives 0 (before rescaling).
    The metric `bertscore` is made of the same parts.

    Args:
        responses: n texts.
        references: of each response the reference, or several: the best of each value counts, as in bert-score.
        model, layer, long, device, trust_remote_code, keep: as the options of `calf.metrics.bertscore.BertScore`.
        language: chooses the model, if that is "auto", and the baseline.
        idf: weight tokens by their rarity among the references, each counted as often as it is given; or the weights
            by token id, 0 for others.
        rescale: subtract bert-score's baseline for the model, layer and language.
        half: half precision on a GPU, where texts are encoded in batches; bert-score uses float32.

    Returns:
        (n, 3): precision, recall, F1. NaN where idf leaves all tokens of a text without weight.

    Raises:
        OptionError: the lists do not fit together, an option does not fit the model, or a text is too long
            (`long=fail`).
        UserError: the model cannot be had or loaded.
    """
    if len(responses) != len(references):
        raise OptionError(f"{len(responses)} responses and {len(references)} references: give as many")
    several = [(given,) if isinstance(given, str) else tuple(given) for given in references]
    if any(not given for given in several):
        raise OptionError(f"response {several.index(())} (counted from 0) has no reference: give one or more")
    check_device(device, half=half)
    on = find_device(device, half=False)
    choice = choose(model, layer, language, rescale=rescale, code=trust_remote_code)
    kept = KeptVectors() if keep else None
    encoder = TokenEncoder(choice, code=trust_remote_code, long=long, device=on, half=half and on != "cpu", kept=kept)
    stripped = [text.strip() for text in responses]
    pairs = [(reference.strip(), place) for place, given in enumerate(several) for reference in given]
    heads, missing = encoder.survey(dict.fromkeys([*(reference for reference, _ in pairs), *stripped]))
    if long == "fail":
        refuse_longer(heads.values(), choice.weights.name, choice.window)
    if missing:
        encoder.load()
    if isinstance(idf, bool):
        weights = idf_weights([heads[reference] for reference, _ in pairs]) if idf else Weights()
    else:
        weights = Weights(idf)
    by_reference: dict[str, dict[str, Triple]] = {}
    for reference, place in pairs:
        by_reference.setdefault(reference, {})[stripped[place]] = (0.0, 0.0, 0.0)

    def work(reference: str) -> None:
        answers = by_reference[reference]
        for answer in answers:
            answers[answer] = match(encoder.encode(reference), encoder.encode(answer), weights, on)

    step = len(by_reference) or 1 if on == "cpu" else _AT_ONCE
    every = list(by_reference)
    for part in (every[at : at + step] for at in range(0, len(every), step)):
        if on != "cpu":
            encoder.encode_together(text for reference in part for text in (reference, *by_reference[reference]))
        for _ in in_threads(work, part, on):
            pass
    values = np.full((len(responses), 3), -np.inf)
    for reference, place in pairs:
        values[place] = np.maximum(values[place], by_reference[reference][stripped[place]])
    return np.array([rescaled((p, r, f), choice.baseline) for p, r, f in values.tolist()]).reshape(-1, 3)
