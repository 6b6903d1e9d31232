import io

import pytest
from rich.console import Console

from muster.cli.words import clean, plain, size


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (None, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (4 * 2**30, "4 GiB"),
        (1500 * 2**20, "1.465 GiB"),
        (2**60, "1.049e+06 TiB"),
    ],
)
def test_sizes_are_written_with_binary_units(number: int | None, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\r", "\n", "\x9b", "\u202e", "\u2066", "\0"])
def test_signs_that_move_a_terminal_are_replaced(sign: str) -> None:
    assert plain(f"a{sign}b") == "a\ufffdb"


def test_markup_in_a_text_is_text() -> None:
    console = Console(file=io.StringIO(), force_terminal=False)
    console.print(clean("[red]x[/red] :smile: [link=http://x]"))
    assert console.file.getvalue().strip() == "[red]x[/red] :smile: [link=http://x]"
