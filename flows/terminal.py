"""Text for a terminal: what a source holds is shown as what it is."""


def printable(text: str) -> str:
    r"""Return ``text`` with all that could command a terminal written out: names in a source may hold anything.

    >>> print(printable("a\x1b[2J b"))
    a\x1b[2J b
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def plain(text: str) -> str:
    r"""Return :func:`printable` text for what rich prints, in which nothing is markup.

    >>> print(plain("[bold]b[/]"))
    \[bold]b\[/]
    """
    from rich.markup import escape  # the command line does without it where nothing is printed by rich

    return escape(printable(text))
