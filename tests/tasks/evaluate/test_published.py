"""The card's figures are those of the card, and found by any spelling of their names."""

import pytest

from tasks.evaluate import published
from tasks.evaluate.published import published_accuracy, published_mean

CARD = ("OPTIMAL31", "RSC11", "RSICB128", "WHURS19", "RS2800/RSSCN7", "CLRS")


@pytest.mark.parametrize("model", ["clip", "remote-clip", "GeoRSCLIP", "sky_clip-50", "git-rsclip"])
def test_the_printed_means_are_those_of_the_printed_figures(model: str) -> None:
    figures = [published_accuracy(model, dataset) for dataset in CARD]
    assert None not in figures
    # Each figure, and the mean, is off by half a digit at most.
    assert published_mean(model, CARD) == pytest.approx(sum(filter(None, figures)) / 6, abs=0.01)


def test_a_model_or_a_set_of_another_name_has_none() -> None:
    assert published_accuracy("git-rsclip", "eurosat") is None
    assert published_accuracy("mine", "whurs19") is None
    assert published_mean("git-rsclip", ["whurs19", "eurosat"]) is None
    assert published_mean("mine", CARD) is None


def test_figures_are_accuracies_and_the_best_is_git_rsclip() -> None:
    assert all(0 < figure < 1 for _, figures, _ in published._FIGURES.values() for figure in figures)
    assert {name for name, _, printed in published._FIGURES.values() if printed >= 0.73} == {"Git-RSCLIP"}
