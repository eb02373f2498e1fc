"""Text of others in a Markdown document: it must stay text, whatever is in it."""

import re

_MARKS = re.compile(r"([\\`*_\[\]#!|~$])")


def inline(text: str) -> str:
    r"""Return ``text`` as it stands in a paragraph, a list or a cell of a table: one line, with no markup.

    >>> inline("a|b <b>c</b>\n# d")
    'a\\|b &lt;b&gt;c&lt;/b&gt; \\# d'
    """
    plain = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", plain)


def code(text: str) -> str:
    r"""Return ``text`` as code in a paragraph or a list (not in a table), one line.

    >>> code("data-0.arrow"), code("a`b")
    ('`data-0.arrow`', '`` a`b ``')
    """
    line = _one_line(text) or " "
    mark = "`" * (_longest_run(line) + 1)
    room = " " if "`" in line else ""
    return f"{mark}{room}{line}{room}{mark}"


def block(text: str, language: str = "") -> str:
    r"""Return ``text`` as a block of code.

    >>> block("a\n```", "yaml")
    '````yaml\na\n```\n````'
    """
    mark = "`" * max(3, _longest_run(text) + 1)
    return f"{mark}{language}\n{text.rstrip()}\n{mark}"


def _one_line(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
