"""Whatever a name holds, it is one line and moves no terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubfs.model.content import Source
from hubfs.model.text import shown


@given(st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    assert shown(text).isprintable()
    assert not text.isprintable() or shown(text) == text


@given(st.text())
def test_what_was_spelt_out_can_be_told(text: str) -> None:
    assert text.isprintable() or "\\" in shown(text)


def test_a_file_cannot_fake_a_line_of_the_log_or_turn_the_text_round() -> None:
    source = Source("acme/model", "a" * 40, "x\nERROR all is lost\x1b[2J\u202egpj.exe")
    assert str(source).endswith(r"/x\nERROR all is lost\x1b[2J\u202egpj.exe")
