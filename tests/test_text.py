"""Texts of strangers in lines, cells and code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expclip.face.text import as_code, escape_markdown, is_visible, one_line


@given(st.text(), st.integers(1, 40))
def test_a_line_has_no_break_nothing_unseen_and_a_longest_length(text: str, longest: int) -> None:
    line = one_line(text, longest)
    assert len(line) <= longest and line == " ".join(line.split())
    assert all(map(is_visible, line)) and line == one_line(line)


def test_what_turns_or_hides_goes_and_emoji_stay_whole() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert one_line(f"a\u202e b\x00\n{family}\u200b") == f"a b {family}"
    assert one_line("abcdef", 4) == "abc\N{HORIZONTAL ELLIPSIS}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>&", "&lt;b&gt;&amp;"),
        ("a|b", r"a\|b"),
        ("![x](y)", r"\!\[x\](y)"),
        ("https://a.b", "https&#58;//a.b"),
        ("www.a.b", "www&#46;a.b"),
        ("@someone, me@a.b", "&#64;someone, me&#64;a.b"),
        ("R@5", "R@5"),
        ("$x$ `y` *z* _u_ ~v~ #1", r"\$x\$ \`y\` \*z\* \_u\_ \~v\~ \#1"),
    ],
)
def test_markdown_shows_a_line_as_it_is(text: str, shown: str) -> None:
    assert escape_markdown(text) == shown


@given(st.text())
def test_code_ends_where_it_ends(text: str) -> None:
    code = as_code(text)
    assert code[0] == code[-1] == "`" and "`" not in code[1:-1] and len(code) <= 202
