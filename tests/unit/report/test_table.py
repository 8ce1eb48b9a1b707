"""Tables fit what they are shown on, and break no word."""

from __future__ import annotations

from vmio.report.table import Column, render_table

COLUMNS = (
    Column(head="disk"),
    Column(head="volume", leaves=3),
    Column(head="bus", label="", leaves=1),
    Column(head="size", right=True, leaves=2),
)
ROWS = (
    (("scsi0", "1"), "pool:vm-701-disk-0", "scsi", "32G"),
    ("virtio10", "pool:vm-701-disk-10", "virtio", "-"),
)


def test_table_without_a_width_has_a_line_for_each_row_and_no_padding() -> None:
    """Nothing is folded, and no line ends in blanks."""
    assert render_table(COLUMNS, ROWS) == (
        "disk      volume               bus     size\n"
        "───────────────────────────────────────────\n"
        "scsi0     pool:vm-701-disk-0   scsi     32G\n"
        "virtio10  pool:vm-701-disk-10  virtio     -\n"
    )


def test_columns_that_do_not_fit_move_below_their_rows() -> None:
    """The least important first, behind its label; of nothing there is no line."""
    assert render_table(COLUMNS, ROWS, width=36) == (
        "disk      volume               size\n"
        "───────────────────────────────────\n"
        "scsi0     pool:vm-701-disk-0    32G\n"
        "  scsi\n"
        "virtio10  pool:vm-701-disk-10     -\n"
        "  virtio\n"
    )
    assert render_table(COLUMNS, ROWS, width=31) == (
        "disk      volume\n"
        "─────────────────────────────\n"
        "scsi0     pool:vm-701-disk-0\n"
        "  scsi  size 32G\n"
        "virtio10  pool:vm-701-disk-10\n"
        "  virtio\n"
    )


def test_table_breaks_no_word_at_any_width() -> None:
    """On the narrowest terminal a word stands alone, and is whole."""
    for width in range(1, 60):
        lines = render_table(COLUMNS, ROWS, width=width).splitlines()
        assert {"pool:vm-701-disk-0", "virtio"} <= set(" ".join(lines).split())
        assert all(len(line) <= width or " " not in line.strip() for line in lines)


def test_gap_is_smaller_where_that_makes_the_table_fit() -> None:
    """Before a column leaves."""
    head, *_ = render_table(COLUMNS, ROWS, width=41).splitlines()
    assert head == "disk     volume              bus    size"


def test_head_is_short_where_the_table_is_too_wide() -> None:
    """The short one has two lines here."""
    columns = (Column(head="VM"), Column(head="main loop", short="main\nloop", right=True))
    assert render_table(columns, [("1", "2")], width=9).splitlines()[:2] == [
        "    main",
        "VM  loop",
    ]
    assert render_table(columns, [("1", "2")]).splitlines()[0] == "VM  main loop"


def test_cells_wrap_between_words() -> None:
    """A column that wraps takes what room the others leave."""
    columns = (Column(head="rank"), Column(head="layout", narrow="wrap"), Column(head="CPU"))
    assert render_table(columns, [("1", "auto, per-disk", "0.5")], width=20) == (
        "rank  layout     CPU\n────────────────────\n1     auto,      0.5\n      per-disk\n"
    )


def test_wide_characters_count_twice() -> None:
    """What stands right of them stays in its column."""
    _, _, wide, narrow = render_table(
        (Column(head="a"), Column(head="b")), [("日本", "x"), ("abcd", "x")]
    ).splitlines()
    assert (wide, narrow) == ("日本  x", "abcd  x")


def test_table_shows_nothing_that_a_terminal_obeys() -> None:
    """Control characters are spelled out, and no line is a command to a CI."""
    text = render_table((Column(head="a"),), [("\x1b[2J\n",), ("::error::x",)])
    assert "\\x1b[2J\\n" in text
    assert all(sign.isprintable() for sign in text.replace("\n", ""))
    assert not any(line.startswith("::") for line in text.splitlines())


def test_table_is_painted_when_asked() -> None:
    """A colour is around its words and not around blanks."""
    assert "\x1b[1mscsi0\x1b[0m     pool" in render_table(COLUMNS, ROWS, colour=True)
