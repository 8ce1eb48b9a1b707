"""The screen of `vmio top`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Final

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.widgets import DataTable, Input, Static
from textual.worker import WorkerFailed

from vmio.app.top import (
    POLL_PARAMETERS,
    PollingChange,
    PollParameter,
    TopSource,
    open_recorded,
    open_top,
)
from vmio.characters import printable
from vmio.errors import VmioError
from vmio.report.live.columns import (
    DEFAULT_SORT,
    VIEWS,
    Item,
    LiveColumn,
    View,
    list_items,
    sort_items,
)
from vmio.report.live.figures import Units, draw_history
from vmio.report.live.rows import GuestRow, HostRows, ThreadRow
from vmio.report.live.words import list_verdict_lines
from vmio.tui.dialogs import ConfirmScreen, MessageScreen, PollingScreen
from vmio.tui.disk import DiskScreen
from vmio.tui.table import STYLES, LiveTable

__all__ = ["TopApp", "show_recorded", "show_top"]

_INTERVALS_S: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_HISTORY: Final = 300
"""Looks that are kept of each item."""
_HISTORY_COLUMNS: Final = 16
_OF_TABLE: Final = frozenset({"next_view", "move", "filter", "sort", "reverse", "enlarge"})
"""Actions for which the table has to be what is shown: Tab in a dialog is for its fields."""
_NAMES: Final[Mapping[View, str]] = {"guests": "Guests", "threads": "Threads", "disks": "Disks"}
_KEYS: Final = (
    " Enter open",
    "/ filter",
    "< > r sort",
    "space freeze",
    "p polling",
    "v verdicts",
    "u units",
    "+ - interval",
    "? help",
    "q quit",
)
_HELP: Final = (
    "1 2 3, Tab  guests, threads, disks",
    "↑ ↓, j k    move; PgUp, PgDn, Home and End too",
    "Enter       a guest's disks; a disk's path; an IOThread's polling",
    "Esc         back; no filter",
    "/           only lines that contain a text",
    "< >, r      sort by the column to the left or right; reverse",
    "space       freeze what is shown; again to go on",
    "+ -         shorter and longer interval",
    "u           short figures, or seconds, bytes and processors",
    "v           more or less room for what limits the guest",
    "p, U        set the polling of an IOThread; undo it",
    "q           quit",
    "",
    "CPU, main, IOThread, vCPUs: processor time, 100% is one processor;",
    "IOThread is the busiest one. user: of that, in QEMU's own code with",
    "its polling. waits: of the time, ready to run without a processor.",
    "latency: mean, from when QEMU takes a request.",
    "Figures are of the last interval; - is what is not known.",
)


class TopApp(App[None]):
    """Shows guests, their threads and disks, and what limits them.

    Args:
        source: Where looks come from.
        view: The table to begin with.
        interval_s: Seconds between two looks.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head, #keys { height: 1; }
    #head { text-style: bold; }
    #keys { color: $text-muted; }
    #filter { height: 1; border: none; padding: 0; display: none; }
    LiveTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    #panel { height: 8; border-top: solid $primary; scrollbar-size-vertical: 1; }
    #panel.-large { height: 60%; }
    #path { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; overflow-x: hidden; }
    ModalScreen { align: center middle; }
    .box { width: auto; min-width: 40; max-width: 96%; height: auto; max-height: 96%;
           border: solid $primary; padding: 0 1; background: $background; }
    .box Static { width: auto; }
    .box Horizontal { height: 1; width: auto; }
    .box Label { width: 13; }
    .box Input { width: 24; background: $boost; text-style: underline; }
    .dim { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "view('guests')", "Guests"),
        Binding("2", "view('threads')", "Threads"),
        Binding("3", "view('disks')", "Disks"),
        Binding("tab", "next_view(1)", "Next view", priority=True),
        Binding("shift+tab", "next_view(-1)", "Last view", priority=True),
        Binding("j", "move(1)", "Down"),
        Binding("k", "move(-1)", "Up"),
        Binding("slash", "filter", "Filter"),
        Binding("less_than_sign", "sort(-1)", "Sort left"),
        Binding("greater_than_sign", "sort(1)", "Sort right"),
        Binding("r", "reverse", "Reverse"),
        Binding("space", "freeze", "Freeze"),
        Binding("plus", "interval(-1)", "Faster"),
        Binding("minus", "interval(1)", "Slower"),
        Binding("u", "units", "Units"),
        Binding("v", "enlarge", "Verdicts"),
        Binding("p", "polling", "Polling"),
        Binding("U", "undo", "Undo"),
        Binding("question_mark,h", "help", "Help"),
        Binding("escape", "leave", "Back"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", priority=True),
    ]

    def __init__(
        self, source: TopSource, *, view: View = "guests", interval_s: float = 2.0
    ) -> None:
        super().__init__()
        self.theme = "ansi-dark"  # the terminal's own colours
        self.failure: Exception | None = None
        """What ended the screen, to be raised when the terminal is as it was."""
        self.changes: list[PollingChange] = []
        """What was set from the screen and not undone, the oldest first."""
        self._source = source
        self._view: View = view
        self._interval_s = interval_s
        self._sorts: dict[View, tuple[str, bool]] = {
            each: (key, _find_column(each, key).falls) for each, key in DEFAULT_SORT.items()
        }
        self._units: Units = "short"
        self._filter = ""
        self._only: tuple[str, int] | None = None
        """The guest whose disks are shown, if it is only one's."""
        self._rows: HostRows | None = None
        self._frozen = False
        self._ended = False
        self._wake = asyncio.Event()
        self._histories: dict[str, deque[float | None]] = {}
        self._latencies: dict[str, deque[float | None]] = {}

    def compose(self) -> ComposeResult:
        """Yields the line at the top, the table, the panel, and the line of keys."""
        yield Static(id="head")
        yield LiveTable()
        with VerticalScroll(id="panel", can_focus=False):
            yield Static(id="verdicts")
        yield Input(id="filter", placeholder="text to look for", compact=True)
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Begins to look."""
        self._table.focus()
        self._show()
        self.run_worker(self._watch(), name="watch")

    def _handle_exception(self, error: Exception) -> None:
        """Ends the screen; what is wrong is said when the terminal is as it was.

        Textual would print pages of source code and values.
        """
        found = error.error if isinstance(error, WorkerFailed) else error
        self.failure = found if isinstance(found, Exception) else error
        super()._handle_exception(error)
        self._exit_renderables.clear()

    async def _watch(self) -> None:
        while True:
            if self._frozen and not self._source.is_live:
                await self._wait(None)
                continue
            rows = await self._source.look()
            if rows is None:
                self._ended = True
                self._show()
                return
            self._remember(rows)
            if not self._frozen:
                self._rows = rows
                self._show()
            await self._wait(self._interval_s)

    async def _wait(self, limit_s: float | None) -> None:
        """Waits for a time, or until a key changes what there is to wait for."""
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._wake.wait()

    def _remember(self, rows: HostRows) -> None:
        trends: dict[str, float | None] = {}
        latencies: dict[str, float | None] = {}
        for view in VIEWS:
            for item in list_items(rows, view):
                trends[item.key] = item.trend
                if item.disk is not None:
                    latencies[item.key] = item.disk.latency_mean_ns
        for kept, found in ((self._histories, trends), (self._latencies, latencies)):
            for key in kept.keys() - found.keys():
                del kept[key]
            for key, value in found.items():
                kept.setdefault(key, deque(maxlen=_HISTORY)).append(value)

    def _show(self) -> None:
        """Shows the rows, on whatever screen there is."""
        if not self.is_running:
            return
        base = self.screen_stack[0]
        base.query_one("#head", Static).update(self._draw_head())
        base.query_one("#keys", Static).update(_draw_keys(self.size.width))
        key, is_reversed = self._sorts[self._view]
        columns = (*VIEWS[self._view], self._history_column())
        column = _find_column(self._view, key)
        items = () if self._rows is None else list_items(self._rows, self._view)
        self._table.show(
            sort_items(filter(self._matches, items), column, is_reversed=is_reversed),
            columns,
            sort=column,
            is_reversed=is_reversed,
            units=self._units,
        )
        self._show_verdicts()
        for screen in self.screen_stack:
            if isinstance(screen, DiskScreen) and screen.is_mounted:
                self._show_disk(screen)

    def _history_column(self) -> LiveColumn:
        return LiveColumn(
            key="history",
            head="history",
            show=lambda item, _: draw_history(self._histories.get(item.key, ()), _HISTORY_COLUMNS),
            sort=lambda item: item.trend,
            width=_HISTORY_COLUMNS,
            leaves=1,
        )

    def _show_verdicts(self) -> None:
        base = self.screen_stack[0]
        item = self._table.selected
        panel = base.query_one("#panel")
        verdicts = base.query_one("#verdicts", Static)
        if item is None:
            panel.border_title = ""
            verdicts.update(Text(self._tell_empty()))
            return
        title = Text(f"{printable(item.guest.label)}: what limits it")
        panel.border_title = title.markup
        text = Text("\n").join(
            Text(printable(each.text), style=STYLES[each.tone])
            for each in list_verdict_lines(item.guest)
        )
        verdicts.update(text)

    def _tell_empty(self) -> str:
        if self._rows is None:
            return "looking"
        if self._rows.guests:
            return "no line contains the text" if self._filter else "nothing to show"
        return "\n".join(("no guest to watch is seen to run on this host", *self._rows.unseen))

    def _show_disk(self, screen: DiskScreen) -> None:
        rows = self._rows
        items = () if rows is None else list_items(rows, "disks")
        key = screen.item.key
        screen.show(
            next((each for each in items if each.key == key), None),
            head=self._draw_head(),
            rates=[*self._histories.get(key, ())],
            latencies_ns=[*self._latencies.get(key, ())],
            units=self._units,
        )

    def _draw_head(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(" ")
        for number, view in enumerate(VIEWS, 1):
            is_shown = view == self._view
            text.append(f" {number} {_NAMES[view]} ", style="reverse" if is_shown else "")
        rows = self._rows
        if rows is not None:
            count = len(rows.guests)
            text.append(f"  {count} guest{'' if count == 1 else 's'}")
            text.append(time.strftime("  %H:%M:%S", time.localtime(rows.wall_ns // 10**9)))
        text.append(f"  {'every' if self._source.is_live else 'replay,'} {self._interval_s:g} s")
        if self._filter:
            text.append(f"  /{printable(self._filter)}", style="yellow")
        if self._frozen:
            text.append("  FROZEN", style="bold yellow")
        if self._ended:
            text.append("  ENDED", style="bold yellow")
        return text

    def _matches(self, item: Item) -> bool:
        guest = item.guest
        if (
            self._only is not None
            and self._view == "disks"
            and (guest.address, guest.started_ticks) != self._only
        ):
            return False
        wanted = self._filter.casefold()
        return not wanted or any(
            wanted in each.show(item, self._units).casefold() for each in VIEWS[self._view]
        )

    def on_resize(self, _event: Resize) -> None:
        """Chooses columns anew."""
        self.call_after_refresh(self._show)

    def on_data_table_row_highlighted(self) -> None:
        """Shows what limits the guest under the cursor."""
        self._show_verdicts()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sorts by a column that was clicked on, and reverses it the second time."""
        self._sort_by(event.column_key.value or "")

    def on_data_table_row_selected(self) -> None:
        """Opens what the cursor is on."""
        item = self._table.selected
        if item is None:
            return
        if item.disk is not None:
            self._open_disk(item)
        elif item.thread is not None:
            self.action_polling()
        else:
            self._only = (item.guest.address, item.guest.started_ticks)
            self.action_view("disks")

    def _open_disk(self, item: Item) -> None:
        """Shows the page of a disk; its virtqueues are read only meanwhile."""
        self._source.ask_for_queues(item.guest)
        screen = DiskScreen(item)
        self.push_screen(screen, lambda _: self._source.ask_for_queues(None))
        self.call_after_refresh(self._show)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 - as Textual calls it
        """Returns whether a key does something on the screen that is shown."""
        return len(self.screen_stack) == 1 or action not in _OF_TABLE

    @property
    def _table(self) -> LiveTable:
        return self.screen_stack[0].query_one(LiveTable)

    def action_view(self, view: View) -> None:
        """Shows another table."""
        if isinstance(self.screen, DiskScreen):
            self.screen.dismiss()
        if view != "disks":
            self._only = None
        self._view = view
        self._table.move_cursor(row=0)
        self._show()

    def action_next_view(self, step: int) -> None:
        """Shows the table beside."""
        views = [*VIEWS]
        self._only = None
        self.action_view(views[(views.index(self._view) + step) % len(views)])

    def action_move(self, step: int) -> None:
        """Moves the cursor."""
        table = self._table
        table.move_cursor(row=table.cursor_row + step)

    def action_filter(self) -> None:
        """Asks for a text to look for."""
        field = self.query_one("#filter", Input)
        self.query_one("#keys").display = False
        field.display = True
        field.value = self._filter
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while a text is typed."""
        if event.input.id == "filter":
            self._filter = event.value
            self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keeps the filter."""
        if event.input.id == "filter":
            self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter").display = False
        self.query_one("#keys").display = True
        self._table.focus()

    def action_leave(self) -> None:
        """Goes back: from a disk's page, a filter, or one guest's disks."""
        if isinstance(self.screen, DiskScreen):
            self.screen.dismiss()
        elif self._filter or self.query_one("#filter").display:
            self._filter = ""
            self.query_one("#filter", Input).value = ""
            self._close_filter()
            self._show()
        elif self._only is not None:
            self.action_view("guests")

    def action_sort(self, step: int) -> None:
        """Sorts by the column beside."""
        shown = [each.value for each in self._table.columns]
        keys = [each for each in shown if each is not None and each != "history"]
        at = keys.index(self._sorts[self._view][0])
        self._sort_by(keys[(at + step) % len(keys)])

    def _sort_by(self, key: str) -> None:
        column = next((each for each in VIEWS[self._view] if each.key == key), None)
        if column is None:
            return
        old, is_reversed = self._sorts[self._view]
        self._sorts[self._view] = (key, not is_reversed if old == key else column.falls)
        self._show()

    def action_reverse(self) -> None:
        """Turns the order around."""
        key, is_reversed = self._sorts[self._view]
        self._sorts[self._view] = (key, not is_reversed)
        self._show()

    def action_freeze(self) -> None:
        """Keeps what is shown, or goes on."""
        self._frozen = not self._frozen
        self._wake.set()
        self._show()

    def action_interval(self, step: int) -> None:
        """Takes the next shorter or longer interval."""
        if step < 0:
            choices = [each for each in _INTERVALS_S if each < self._interval_s][-1:]
        else:
            choices = [each for each in _INTERVALS_S if each > self._interval_s][:1]
        if choices:
            self._interval_s = choices[0]
            self._wake.set()
            self._show()

    def action_units(self) -> None:
        """Writes figures in the other units."""
        self._units = "base" if self._units == "short" else "short"
        self._show()

    def action_enlarge(self) -> None:
        """Gives the verdicts more or less room."""
        self.query_one("#panel").toggle_class("-large")

    def action_help(self) -> None:
        """Lists the keys."""
        self.push_screen(MessageScreen("vmio top", _HELP))

    @work
    async def action_polling(self) -> None:
        """Asks for the polling of an IOThread, and sets it."""
        chosen = self._choose_iothread()
        if chosen is None:
            self.notify("no IOThread is chosen")
            return
        guest, thread = chosen
        if not self._source.is_live:
            self.notify("a recording cannot be changed")
            return
        known: dict[PollParameter, int | None] = {
            "poll-max-ns": thread.poll_max_ns,
            "poll-grow": thread.poll_grow,
            "poll-shrink": thread.poll_shrink,
        }
        values = await self.push_screen_wait(
            PollingScreen(f"{guest.label}: polling of {thread.name}", known)
        )
        if not values:
            return
        lines = [
            f"{name}: {'not known' if (old := known[name]) is None else old} → {values[name]}"
            for name in POLL_PARAMETERS
            if name in values
        ]
        lines.append("It takes effect at once, and lasts until the guest stops. U undoes it.")
        title = f"Set on the running guest {guest.label}, {thread.name}?"
        if await self.push_screen_wait(ConfirmScreen(title, lines)):
            change = await self._set_polling(guest, thread.name, values)
            if change is not None:
                self.changes.append(change)

    @work
    async def action_undo(self) -> None:
        """Undoes the last setting, if the guest still runs."""
        if not self.changes:
            self.notify("nothing was set from this screen")
            return
        last = self.changes[-1]
        guest = self._find_guest(last)
        if guest is None:
            self.changes.pop()
            self.notify(f"{printable(last.label)} has ended", markup=False)
            return
        lines = [f"{name}: {last.new[name]} → {old}" for name, old in last.old.items()]
        title = f"Undo on the running guest {last.label}, {last.iothread}?"
        if await self.push_screen_wait(ConfirmScreen(title, lines)) and (
            await self._set_polling(guest, last.iothread, last.old) is not None
        ):
            self.changes.remove(last)

    async def _set_polling(
        self, guest: GuestRow, iothread: str, values: Mapping[PollParameter, int]
    ) -> PollingChange | None:
        """Sets polling parameters; None if that failed, which is said."""
        try:
            change = await self._source.set_polling(guest, iothread, values)
        except VmioError as error:
            lines = [error.message, *filter(None, (error.hint,))]
            await self.push_screen_wait(MessageScreen("Nothing was set", lines))
            return None
        done = ", ".join(f"{name} {value}" for name, value in values.items())
        self.notify(f"{printable(guest.label)}: {printable(iothread)}: {done}", markup=False)
        return change

    def _choose_iothread(self) -> tuple[GuestRow, ThreadRow] | None:
        """Returns the IOThread that the cursor is on, that serves the disk, or is the busiest."""
        if isinstance(self.screen, DiskScreen):
            item: Item | None = self.screen.item
        else:
            item = self._table.selected
        if item is None:
            return None
        guest = item.guest
        if item.thread is not None:
            thread: ThreadRow | None = item.thread
        elif item.disk is not None:
            servers = item.disk.served_by
            thread = next((each for each in guest.threads if each.name in servers), None)
        else:
            loops = (each for each in guest.threads if each.role == "iothread")
            thread = guest.busiest_iothread or next(loops, None)
        if thread is None or thread.role != "iothread":
            return None
        return guest, thread

    def _find_guest(self, change: PollingChange) -> GuestRow | None:
        guests = self._rows.guests if self._rows is not None else ()
        wanted = (change.address, change.started_ticks)
        return next(
            (each for each in guests if (each.address, each.started_ticks) == wanted), None
        )


def _find_column(view: View, key: str) -> LiveColumn:
    return next(each for each in VIEWS[view] if each.key == key)


def _draw_keys(width: int) -> Text:
    """Returns as many keys as fit, the help and the end always among them."""
    keys = [*_KEYS]
    while len("  ".join(keys)) > width and keys[2:]:
        del keys[-3]
    return Text("  ".join(keys), no_wrap=True, overflow="ellipsis")


async def show_top(
    addresses: Sequence[str],
    *,
    view: View,
    interval_s: float,
    latencies: bool,
    tell: Callable[[str], object],
) -> None:
    """Shows the guests of this host until the user quits.

    Args:
        addresses: Which of them; all without any.
        view: The table to begin with.
        interval_s: Seconds between two looks.
        latencies: Whether QEMU counts requests by latency meanwhile.
        tell: Is told at the end what was set on guests and stays, a line each.
    """
    async with open_top(addresses, latencies=latencies) as source:
        app = TopApp(source, view=view, interval_s=interval_s)
        try:
            await _run(app)
        finally:
            for each in app.changes:
                for name, old in each.old.items():
                    tell(
                        f"{each.label}: {each.iothread}: {name} is {each.new[name]} until the"
                        f" guest stops; it was {old}"
                    )


async def show_recorded(path: str, *, view: View, interval_s: float) -> None:
    """Shows a recording until the user quits.

    Args:
        path: The recording.
        view: The table to begin with.
        interval_s: Seconds for which each look is shown.

    Raises:
        InputError: It cannot be read.
    """
    with open_recorded(path) as source:
        await _run(TopApp(source, view=view, interval_s=interval_s))


async def _run(app: TopApp) -> None:
    await app.run_async()
    task = asyncio.current_task()
    if task is not None and task.cancelling():  # by a signal; Textual ends as if by a key
        raise asyncio.CancelledError
    if app.failure is not None:
        raise app.failure
