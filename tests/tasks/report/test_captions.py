"""Captions: what is a word, what an opener, and in which order they are told."""

from tasks.report.captions import OPENERS, WORDS, Phrase, count_phrases


def test_a_word_counts_once_a_caption_in_lower_case_and_without_what_is_around_it() -> None:
    told = count_phrases(["A river, a RIVER; “river”!", "river-bed"], ["It's the (river)."])
    assert told.words == (Phrase("river", 1, 1), Phrase("river-bed", 1, 0), Phrase("it's", 0, 1))


def test_captions_without_a_word_are_left_out() -> None:
    told = count_phrases([None, "", "  ", "... --"], ["The of and"])
    assert (told.kept, told.rejected, told.words) == (0, 1, ())
    assert told.openers == (Phrase("the of and", 0, 1),)


def test_openers_are_three_words_or_what_there_is() -> None:
    told = count_phrases(["This satellite image shows a town.", "This satellite image, seen", "Town"], [])
    assert told.openers == (Phrase("this satellite image", 2, 0), Phrase("town", 1, 0))


def test_most_frequent_among_the_kept_first_then_among_the_rejected_then_by_letter() -> None:
    told = count_phrases(["b a"], ["d c", "d", "a"])
    assert [phrase.text for phrase in told.words] == ["b", "d", "c"]  # "a" is a function word


def test_as_many_are_told_as_a_page_has_room_for() -> None:
    told = count_phrases((f"word{n} begins otherwise" for n in range(100)), [])
    assert (len(told.words), len(told.openers)) == (WORDS, OPENERS)


def test_what_is_too_long_is_no_word_and_cut_in_an_opener() -> None:
    told = count_phrases([f"{'x' * 5000} town"], [])
    assert told.words == (Phrase("town", 1, 0),)
    assert len(told.openers[0].text) < 50


def test_scripts_with_marks_keep_them() -> None:
    told = count_phrases(["नदी की तस्वीर।"], [])
    assert {phrase.text for phrase in told.words} == {"नदी", "की", "तस्वीर"}
