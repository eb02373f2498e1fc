from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from subsets import HOSTILE

from tasks.write.markdown import block, code, inline

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text("`|\\[]()<>!*_~#&;-\n\t x1.=+:/$")


def only(kind: str, tokens: list[Token]) -> Token:
    (found,) = (token for token in tokens if token.type == kind)
    return found


def one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@given(TEXT)
def test_others_text_stays_text_in_a_list_and_a_table(text: str) -> None:
    item = MARKDOWN.parse(f"- citation: {inline(text)}\n- next\n")
    assert [token.type for token in item].count("list_item_open") == 2
    cells = [token for token in MARKDOWN.parse(f"| a | b |\n|---|---|\n| x{inline(text)} | y |\n") if token.children]
    assert len(cells) == 4
    for prefix, parsed in (("citation: ", item[3]), ("x", cells[2])):
        assert parsed.children is not None
        assert {child.type for child in parsed.children} <= {"text"}
        assert "".join(child.content for child in parsed.children).strip() == (prefix + one_line(text)).strip()


@given(TEXT)
def test_others_text_stays_one_piece_of_code(text: str) -> None:
    parsed = only("inline", MARKDOWN.parse(f"- shard {code(text)}, read\n"))
    assert [child.type for child in parsed.children or ()] == ["text", "code_inline", "text"]
    assert (parsed.children or ())[1].content.strip() == one_line(text)


def test_a_block_of_code_is_not_left() -> None:
    for text in (HOSTILE, "```\n# out", "a\n~~~\n````\n"):
        (fence,) = MARKDOWN.parse(block(text, "yaml") + "\n")
        assert fence.type == "fence"
        assert fence.content == "\n".join(text.rstrip().split("\n")).replace("\r", "\n") + "\n"
