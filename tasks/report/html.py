"""The templates of the pages, and how they write numbers and long texts."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


@cache
def template(name: str) -> Template:
    """Return the template ``name``; every value that it is given is escaped."""
    environment = Environment(
        loader=PackageLoader("tasks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cut": cut, "thousands": "{:,}".format}
    environment.globals |= {"percent": percent, "share": share}
    return environment.get_template(name)


def percent(part: int, whole: int) -> str:
    """Return ``part`` of ``whole`` in percent, never rounded to none or all of it.

    >>> percent(1, 3), percent(1, 9999), percent(9998, 9999), percent(0, 0)
    ('33.3 %', '< 0.1 %', '> 99.9 %', '0.0 %')
    """
    hundredths = 100 * share(part, whole)
    if 0 < hundredths < 0.1:
        return "< 0.1 %"
    if 99.9 < hundredths < 100:
        return "> 99.9 %"
    return f"{hundredths:.1f} %"


def share(part: int, whole: int) -> float:
    """Return ``part`` of ``whole``, 0 where there is nothing."""
    return part / whole if whole else 0.0


def cut(text: str, characters: int) -> str:
    """Return ``text``, at most so many ``characters`` of it.

    >>> cut("a river bends", 9)
    'a river…'
    """
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"
