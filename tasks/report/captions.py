"""Kernel: which words captions hold, and how they begin, among kept pairs and among rejected ones."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from heapq import nsmallest
from typing import NamedTuple

WORDS = 20
"""Most words told."""

OPENERS = 12
"""Most openers told."""

_OPENER_WORDS = 3
_WORD_CHARACTERS = 40  # what is longer is an address or a key, and no word
_AROUND = "".join(letter for letter in map(chr, range(0x10000)) if unicodedata.category(letter)[0] in "PS")
"""Punctuation and symbols, of any script."""

_FUNCTION_WORDS = """
    a about above across after all along also among an and any are around as at be been before behind being below
    beneath beside between beyond both but by can could do does down each either few for from further had has have
    having he her here hers his how i if in inside into is it its itself just like may me more most much my near no nor
    not of off on onto or other others our out outside over own she should so some such than that the their theirs them
    then there these they this those through throughout to too toward towards under until up upon us very via was we
    were what when where which while who whom whose why will with within without would you your
"""
_WITHOUT = frozenset(_FUNCTION_WORDS.split())
"""English words that say nothing of a picture: articles, pronouns, prepositions, conjunctions and auxiliaries. Captions
in another language keep theirs."""


class Phrase(NamedTuple):
    """A word or an opener, and in how many of the counted captions it is."""

    text: str
    kept: int
    rejected: int


class Phrases(NamedTuple):
    """What was counted: words and openers that most kept captions have, or rejected ones where none is kept."""

    kept: int  # captions
    rejected: int
    words: tuple[Phrase, ...]
    openers: tuple[Phrase, ...]


def count_phrases(kept: Iterable[str | None], rejected: Iterable[str | None]) -> Phrases:
    """Count the words and openers of the captions of kept pairs and of rejected ones.

    Words are parted by white space, in lower case and without the punctuation around them. A word counts once a
    caption; function words do not count. An opener is a caption's first three words, function words included. Captions
    without a word are left out.

    >>> told = count_phrases(["A river."], ["The river bends", None])
    >>> told.rejected, told.words[0], told.openers[0]
    (1, Phrase(text='river', kept=1, rejected=1), Phrase(text='a river', kept=1, rejected=0))
    """
    (one, words, openers), (other, rejected_words, rejected_openers) = _counted(kept), _counted(rejected)

    def most(kept: Counter[str], rejected: Counter[str], shown: int) -> tuple[Phrase, ...]:
        told = (Phrase(text, kept[text], rejected[text]) for text in {**kept, **rejected})
        return tuple(nsmallest(shown, told, key=lambda phrase: (-phrase.kept, -phrase.rejected, phrase.text)))

    return Phrases(one, other, most(words, rejected_words, WORDS), most(openers, rejected_openers, OPENERS))


def _counted(captions: Iterable[str | None]) -> tuple[int, Counter[str], Counter[str]]:
    """Return how many captions have words, in how many each word is, and how many each opener begins."""
    counted = 0
    words: Counter[str] = Counter()
    openers: Counter[str] = Counter()
    for caption in captions:
        found = [word for part in (caption or "").lower().split() if (word := part.strip(_AROUND))]
        if found:
            counted += 1
            words.update({word for word in found if len(word) <= _WORD_CHARACTERS} - _WITHOUT)
            openers[" ".join(word[:_WORD_CHARACTERS] for word in found[:_OPENER_WORDS])] += 1
    return counted, words, openers
