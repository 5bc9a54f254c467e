"""Converts TF-IDF to ONNX: terms are counted by `TfIdfVectorizer`, and weighed in float64 as scikit-learn does it.

docs/decisions/exports.md, "Texts are taken apart by ONNX Runtime's own tokenizer".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workers.training.exports import characters, texts
from workers.training.exports.graph import DOUBLE, Block, Graph


def weigh(graph: Graph, fitted: Any, block: Block) -> str:
    """Add the weights of each column's terms, in the order in which `Tfidf` has them; a missing text is empty."""
    weighed = []
    for name, terms, weights in zip(block.names, fitted.terms_, fitted.weights_, strict=True):
        present = texts.without_sign(graph, graph.pick(block, [name]).tensor)
        if fitted.lowercase:
            present = texts.change_case(graph, present, upper=False)
        count = _count_words if fitted.analyzer == "words" else _count_characters
        weighed.append(_scale(graph, count(graph, present, terms, fitted.ngrams), weights))
    return graph.node("Concat", *weighed, axis=1) if len(weighed) > 1 else weighed[0]


def _scale(graph: Graph, counts: str, weights: Any) -> str:
    """Add the counts by their weights, each row scaled to length 1 unless it is 0."""
    products = graph.node("Mul", counts, graph.floats([weights]))
    squares = graph.node("ReduceSum", graph.node("Mul", products, products), graph.constant([1], np.int64), keepdims=1)
    is_zero = graph.node("Equal", squares, graph.floats(0.0))
    return graph.node("Div", products, graph.node("Where", is_zero, graph.floats(1.0), graph.node("Sqrt", squares)))


def _count_words(graph: Graph, present: str, terms: Sequence[str], lengths: tuple[int, int]) -> str:
    """Count terms of words: runs of two letters, digits or underscores and more, which no term has beside them."""
    words = texts.split(graph, present, pattern=f"[{characters.word()}]{{2,}}")
    return _count(graph, words, [term.split(" ") for term in terms], lengths)


def _count_characters(graph: Graph, present: str, terms: Sequence[str], lengths: tuple[int, int]) -> str:
    """Count terms of characters inside of words, each with a space at both ends; a shorter word counts as a whole."""
    words = texts.split(graph, present, pattern=f"[^{characters.space()}]+")
    blank, space = graph.constant([[""]], object), graph.constant([[" "]], object)
    padded = graph.node("StringConcat", graph.node("StringConcat", space, words), space)
    whole = graph.node("Where", graph.node("Equal", words, blank), blank, padded)
    # Two white spaces side by side are in no term, so that none reaches from one word into the next.
    inside = texts.split_characters(graph, texts.join(graph, whole))
    groups = {
        is_short: [number for number, term in enumerate(terms) if (len(term) < lengths[0]) is is_short]
        for is_short in (False, True)
    }
    tables = []
    if groups[False]:
        tables.append(_count(graph, inside, [list(terms[number]) for number in groups[False]], lengths))
    if groups[True]:
        tables.append(_count(graph, whole, [[terms[number]] for number in groups[True]], (1, 1)))
    if len(tables) == 1:
        return tables[0]
    order = np.argsort(groups[False] + groups[True])
    return graph.node("Gather", graph.node("Concat", *tables, axis=1), graph.constant(order, np.int64), axis=1)


def _count(graph: Graph, parts: str, grams: Sequence[Sequence[str]], lengths: tuple[int, int]) -> str:
    """Count how often each sequence of parts is in a row, (rows, sequences), in float64."""
    numbers = sorted(range(len(grams)), key=lambda number: len(grams[number]))
    starts = [sum(len(gram) for gram in grams if len(gram) < length) for length in range(1, lengths[1] + 1)]
    counts = graph.node(
        "TfIdfVectorizer",
        parts,
        mode="TF",
        min_gram_length=lengths[0],
        max_gram_length=lengths[1],
        max_skip_count=0,
        ngram_counts=starts,
        ngram_indexes=numbers,
        pool_strings=[part for number in numbers for part in grams[number]],
    )
    return graph.node("Cast", counts, to=DOUBLE)
