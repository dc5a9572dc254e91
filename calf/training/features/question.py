"""How a response stands to the question and its material, and what the question is like."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from calf.training.features.family import Family, Measured
from calf.training.features.topics import COUNT
from calf.training.features.views import share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calf.training.features.views import Task, View

__all__ = ["Question"]

_KINDS = (
    r"为什么|原因|缘由|\bwhy\b|\breasons?\b",
    r"如何|怎样|怎么|措施|建议|对策|\bhow\b",
    r"什么是|名词解释|是指|概念|含义|\bwhat (?:is|are)\b|\bdefine\b",
    r"比较|异同|不同|区别|差异|相比|\bdiffer|\bcompare",
    r"意义|影响|作用|启示|评价|认识|\bimpact|\beffect|\bsignificance",
    r"特点|特征|分布|描述|概括|归纳|指出|列举|简述|\bdescribe|\blist\b",
    r"结合|运用|根据|材料|据图|\baccording to\b",
    r"分析|说明|论述|阐述|理由|\bexplain|\banaly[sz]e|\bdiscuss",
)
_POINTS = re.compile(r"[（(]\s*(\d{1,2})\s*(?:分|points?|marks?)\s*[)）]", re.IGNORECASE)


class Question(Family):
    """Overlap with question and context (shares of distinct tokens and pairs, by rarity), copying, and what is new."""

    name = "question"
    names = (
        "question_recall", "question_precision", "context_recall", "context_precision", "context_pairs",
        "context_copied", "question_copied", "begins_with_question", "new", "new_pairs", "reference_beyond_context",
    )  # fmt: skip
    even_names = (
        "question_log_tokens", "context_log_tokens", "no_context", "questions", "points",
        "kind_why", "kind_how", "kind_what", "kind_compare", "kind_effect", "kind_describe", "kind_material",
        "kind_explain", "reference_in_context", *(f"topic_{number}" for number in range(1, COUNT + 1)),
    )  # fmt: skip

    def measure(self, task: Task, response: View) -> Measured:
        """0 for a response without tokens."""
        if not response.tokens:
            return Measured([0.0] * len(self.names))
        question, context = task.question.words, task.context.words
        tokens, pairs, grams = response.words, response.pairs, response.grams
        reference = task.reference.words
        known = question | context | reference
        known_pairs = task.question.pairs | task.context.pairs | task.reference.pairs
        return Measured((
            task.part(question, tokens), task.part(tokens, question), task.part(context, tokens),
            task.part(tokens, context), task.part(pairs, task.context.pairs),
            share(len(grams & task.context.grams), len(grams)), share(len(grams & task.question.grams), len(grams)),
            task.part(question, response.sentences[0].words) if response.sentences else 0.0,
            task.part(tokens, tokens - known), task.part(pairs, pairs - known_pairs),
            task.part(task.reference.pairs - task.context.pairs - task.question.pairs, pairs),
        ))  # fmt: skip

    def about(self, task: Task) -> Sequence[float]:
        """Lengths, kinds of question by their words (Chinese and English), points to be had, topics."""
        text = task.question.text
        points = sum(int(found) for found in _POINTS.findall(text))
        return (
            math.log1p(len(task.question.tokens)), math.log1p(len(task.context.tokens)),
            float(not task.context.tokens), math.log1p(text.count("?") + text.count("？")), math.log1p(points),
            *(float(re.search(kind, text, re.IGNORECASE) is not None) for kind in _KINDS),
            task.part(task.reference.pairs, task.context.pairs), *task.topics,
        )  # fmt: skip
