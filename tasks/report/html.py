"""The templates of the pages, and how they write numbers and long texts."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from schemas.reports import percentage


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
    """Return ``part`` of ``whole`` with its unit, as all that is printed has it.

    >>> percent(9998, 9999)
    '> 99.9 %'
    """
    return f"{percentage(part, whole)} %"


def share(part: int, whole: int) -> float:
    """Return ``part`` of ``whole``, 0 where there is nothing."""
    return part / whole if whole else 0.0


def cut(text: str, characters: int) -> str:
    """Return ``text``, at most so many ``characters`` of it.

    >>> cut("a river bends", 9)
    'a river…'
    """
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"
