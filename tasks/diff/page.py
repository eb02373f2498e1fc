"""What a comparison's page is made of: counts, figures where the signals are at hand, pictures where data files are."""

from schemas.difference import Difference
from tasks.diff.figures import side_of
from tasks.diff.samples import changed_sheets
from tasks.diff.verdicts import Sides
from tasks.report.comparison import ComparisonData


def gather(sides: Sides, difference: Difference) -> ComparisonData:
    """Return what :func:`tasks.report.comparison.render_comparison` needs; the same subsets give the same samples.

    What is not at hand is left out, and said to be: signals of which there are none, pictures of an index.
    """
    one, other = side_of(sides.a), side_of(sides.b)
    missing = [f"{name}: {why}" for name, why in (("A", one), ("B", other)) if isinstance(why, str)]
    return ComparisonData(
        difference=difference,
        manifests=(sides.a.manifest, sides.b.manifest),
        figures="; ".join(missing) if isinstance(one, str) or isinstance(other, str) else (one, other),
        lost=changed_sheets(sides),
        gained=changed_sheets(sides.turned()),
    )
