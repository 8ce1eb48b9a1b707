"""The screen of `vmio top`, driven by keys over guests that do not run."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import wraps

import pytest
from textual.pilot import Pilot
from textual.widgets import Input
from textual.worker import WorkerFailed

from vmio.app.top import PollingChange, PollParameter
from vmio.errors import CapabilityError, QmpError, VmioError
from vmio.observe.verdicts.values import Figure, Verdict
from vmio.report.live.rows import DiskRow, GuestRow, HostRows, OperationRow, QueueRow, ThreadRow
from vmio.tui.app import TopApp
from vmio.tui.dialogs import ConfirmScreen, MessageScreen, PollingScreen
from vmio.tui.disk import DiskScreen
from vmio.tui.table import LiveTable
from vmio.values import replace

Driven = Callable[[], Coroutine[None, None, None]]

FULL = Verdict(
    kind="main-loop-full",
    subject="main loop",
    severity="warning",
    evidence=(
        Figure(name="cpu", subject="main loop", value=0.97, unit="processors", at_least=0.9),
    ),
    source="somebody",
    step="give-threads",
    disks=("scsi1",),
)


def make_guest(
    number: int, *, requests: float | None = 100.0, verdicts: tuple[Verdict, ...] = ()
) -> GuestRow:
    """Returns a guest with a disk on an IOThread and one on the main loop."""
    busy = OperationRow(
        operations_per_s=requests,
        bytes_per_s=4096 * requests if requests is not None else None,
        latency_mean_ns=210_000.0 if requests is not None else None,
        depth_mean=0.1,
        failed=0,
    )
    share = None if requests is None else 0.25
    return GuestRow(
        address=f"pid:{number}",
        started_ticks=7,
        label=f"{number} web",
        id=f"{number}",
        name="web",
        manager="proxmox",
        uptime_s=60.0,
        window_s=2.0,
        threads=(
            ThreadRow(name="main loop", role="main loop", thread_id=number, cpu_share=share),
            ThreadRow(
                name="io0",
                role="iothread",
                owner="io0",
                thread_id=number + 1,
                cpu_share=share,
                processor=1,
                affinity=(0, 1),
                poll_max_ns=32768,
                poll_grow=0,
                poll_shrink=0,
            ),
        ),
        disks=(
            DiskRow(
                id="scsi0",
                file="/dev/pve/disk",
                controller="virtioscsi0",
                model="virtio-scsi-pci",
                served_by=("io0",),
                queues=(QueueRow(index=0, served_by="io0", in_flight=5, size=128),),
                reads=busy,
            ),
            DiskRow(id="scsi1", served_by=("main loop",)),
        ),
        verdicts=verdicts,
        is_judged=requests is not None,
        monitor="answered",
    )


def make_rows(*guests: GuestRow) -> HostRows:
    """Returns a look at guests."""
    return HostRows(wall_ns=0, duration_s=0.01, host_processors=4, guests=guests)


class Source:
    """Gives the looks of a test, one whenever the test asks for it."""

    is_live = True

    def __init__(self, *looks: HostRows, error: VmioError | None = None) -> None:
        self.looks = [*looks]
        self.error = error
        self.asked: list[str] = []
        self.set: list[tuple[str, str, dict[PollParameter, int]]] = []
        self.fails: Exception | None = None

    async def look(self) -> HostRows | None:
        """Returns the next look; the last one again and again."""
        if self.fails is not None:
            raise self.fails
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def ask_for_queues(self, guest: GuestRow | None) -> None:
        """Notes which guest's queues are wanted."""
        self.asked.append("" if guest is None else guest.label)

    async def set_polling(
        self, guest: GuestRow, iothread: str, values: Mapping[PollParameter, int]
    ) -> PollingChange:
        """Notes what is set."""
        if self.error is not None:
            raise self.error
        self.set.append((guest.label, iothread, {**values}))
        return PollingChange(
            address=guest.address,
            started_ticks=guest.started_ticks,
            label=guest.label,
            iothread=iothread,
            old=dict.fromkeys(values, 32768),
            new={**values},
        )


class Recording(Source):
    """Ends after its looks."""

    is_live = False

    async def look(self) -> HostRows | None:
        """Returns the next look; None after the last one."""
        return self.looks.pop(0) if self.looks else None


def driven(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Returns a test that runs a coroutine."""

    @wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 120))

    return run


def read_screen(app: TopApp) -> list[str]:
    """Returns the lines of the screen as text."""
    picture = app.export_screenshot()
    lines: dict[float, list[tuple[float, str]]] = {}
    for x, y, text in re.findall(r'<text[^>]* x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)<', picture):
        lines.setdefault(float(y), []).append((float(x), html.unescape(text)))
    return [
        "".join(text for _, text in sorted(parts)).replace("\xa0", " ").rstrip()
        for _, parts in sorted(lines.items())
        if [text for _, text in parts] != [app.title]  # the picture's own
    ]


async def step(app: TopApp, pilot: Pilot[None], *keys: str) -> list[str]:
    """Presses keys, has the next look taken, and returns the screen."""
    await pilot.press(*keys)
    app._wake.set()
    await pilot.pause()
    await pilot.pause()
    return read_screen(app)


def find(lines: Sequence[str], *words: str) -> str:
    """Returns the first line that contains words; empty if there is none."""
    return next((each for each in lines if all(word in each for word in words)), "")


@driven
async def test_first_look_shows_names_and_no_figures() -> None:
    """Figures since a guest's start would be of another time."""
    app = TopApp(Source(make_rows(make_guest(100, requests=None))))
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await step(app, pilot)
        line = find(lines, "100 web", "-")
        assert not re.search(r"\d%", line)
        assert find(lines, "not known yet")


@driven
async def test_worst_guest_is_first_and_its_verdict_is_told_below() -> None:
    """With its evidence and the call that plans what would help."""
    guests = (make_guest(100), make_guest(200, verdicts=(FULL,)))
    app = TopApp(Source(make_rows(*guests)))
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await step(app, pilot)
        assert len(lines) <= 24
        rows = [each for each in lines if " web " in each and "%" in each]
        assert "200 web" in rows[0]
        assert "main loop full" in rows[0]
        assert "nothing limits it" in rows[1]
        assert find(lines, "the main loop has no time left")
        assert find(lines, "0.97 processors")
        assert find(lines, "vmio plan 200")
        assert find(await step(app, pilot, "j"), "100 web: what limits it")


@driven
async def test_views_follow_keys() -> None:
    """By number, by Tab, and back with Escape."""
    app = TopApp(Source(make_rows(make_guest(100), make_guest(200))))
    async with app.run_test(size=(160, 50)) as pilot:
        assert find(await step(app, pilot, "2"), "100 web", "io0", "iothread", "32.8 µs")
        assert find(await step(app, pilot, "3"), "100 web", "scsi0", "io0", "100", "210 µs")
        assert find(await step(app, pilot, "tab"), "what limits it", "history")
        lines = await step(app, pilot, "enter")
        assert find(lines, "100 web", "scsi0")
        assert not find(lines, "200 web", "scsi0")
        assert find(await step(app, pilot, "escape"), "200 web", "nothing limits it")


@driven
async def test_home_and_end_move_to_the_first_and_last_line() -> None:
    """Columns are never beside the screen."""
    app = TopApp(Source(make_rows(*map(make_guest, (100, 200, 300)))))
    async with app.run_test(size=(80, 24)) as pilot:
        assert find(await step(app, pilot, "end"), "300 web: what limits it")
        assert find(await step(app, pilot, "home"), "100 web: what limits it")


@driven
async def test_path_of_a_disk_keeps_its_bar_on_a_narrow_screen() -> None:
    """A line that is too long goes on in the next one, below its beginning."""
    app = TopApp(Source(make_rows(make_guest(100))))
    async with app.run_test(size=(40, 40)) as pilot:
        lines = await step(app, pilot, "3", "enter")
        at = lines.index(find(lines, "│", "reads "))
        assert lines[at : at + 2] == [
            "│          reads      100/s     400",
            "│          KiB/s  mean 210 µs",
        ]


@driven
async def test_cells_change_in_place_and_the_cursor_stays_on_its_guest() -> None:
    """Also while another guest overtakes it, and one goes."""
    first = make_rows(make_guest(100), make_guest(200), make_guest(300))
    second = make_rows(
        make_guest(100, requests=5.0), make_guest(200, verdicts=(FULL,)), make_guest(300)
    )
    source = Source(first, second, make_rows(*second.guests[:1], second.guests[2]))
    app = TopApp(source)
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(LiveTable)
        await pilot.pause()
        await pilot.press("down", "down")
        assert table.selected is not None
        assert table.selected.guest.label == "300 web"
        columns = [*table.columns]
        assert find(await step(app, pilot), "100 web", " 5.0 ")
        assert table.selected.guest.label == "300 web"
        assert [*table.columns] == columns
        lines = await step(app, pilot)
        assert not find(lines, "200 web")
        assert table.selected.guest.label == "300 web"
        assert table.row_count == 2


@driven
async def test_sort_column_and_direction_are_seen_in_the_heading() -> None:
    """The column beside, and turned around; a click on a heading does it as well."""
    guests = (make_guest(100, requests=1.0), make_guest(200, requests=2.0))
    app = TopApp(Source(make_rows(*guests)))
    async with app.run_test(size=(160, 50)) as pilot:
        lines = await step(app, pilot, "greater_than_sign")
        assert find(lines, "▲guest")
        for _ in range(len(app.query_one(LiveTable).columns)):
            lines = await step(app, pilot, "less_than_sign")
            if find(lines, "▼req/s"):
                break
        rows = [each for each in lines if " web " in each and "%" in each]
        assert "200 web" in rows[0]
        lines = await step(app, pilot, "r")
        assert find(lines, "▲req/s")
        rows = [each for each in lines if " web " in each and "%" in each]
        assert "100 web" in rows[0]


@driven
async def test_filter_shows_lines_with_a_text_while_it_is_typed() -> None:
    """Enter keeps it, Escape drops it; its letters are no keys."""
    app = TopApp(Source(make_rows(make_guest(100), make_guest(200))))
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await step(app, pilot, "slash", "2", "0", "0")
        assert not find(lines, "100 web", "%")
        assert find(lines, "200 web", "%")
        lines = await step(app, pilot, "enter")
        assert find(lines, "/200")
        assert find(await step(app, pilot, "escape"), "100 web", "%")
        assert find(await step(app, pilot, "slash", "q", "q"), "no line contains the text")


@driven
async def test_freeze_keeps_what_is_shown() -> None:
    """Looks go on, so that the next figures are of one interval."""
    source = Source(*(make_rows(make_guest(100, requests=float(each))) for each in range(1, 9)))
    app = TopApp(source)
    async with app.run_test(size=(80, 24)) as pilot:
        frozen = await step(app, pilot, "space")
        assert find(frozen, "FROZEN")
        left = len(source.looks)
        again = await step(app, pilot)
        assert find(again, "100 web", "%") == find(frozen, "100 web", "%")
        assert len(source.looks) < left
        await pilot.press("space")
        assert find(await step(app, pilot), "100 web", "%") != find(frozen, "100 web", "%")


@driven
async def test_interval_and_units_follow_keys() -> None:
    """The first line has the interval, the cells the units."""
    app = TopApp(Source(make_rows(make_guest(100))))
    async with app.run_test(size=(160, 50)) as pilot:
        assert find(await step(app, pilot, "plus"), "every 1 s")
        assert find(await step(app, pilot, "minus", "minus"), "every 3 s")
        assert find(await step(app, pilot, "u"), "100 web", "0.000210", "409600")


@driven
async def test_page_of_a_disk_has_its_path_and_asks_for_its_queues_meanwhile() -> None:
    """They take QEMU half a millisecond each, so only while they are shown."""
    source = Source(make_rows(make_guest(100)))
    app = TopApp(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await step(app, pilot, "3", "enter")
        lines = await step(app, pilot)
        assert isinstance(app.screen, DiskScreen)
        for words in (
            ("disk", "scsi0"),
            ("file", "/dev/pve/disk"),
            ("controller", "virtioscsi0"),
            ("in flight: 5",),
            ("IOThread", "io0"),
            ("processor", "1"),
            ("may run on 0-1",),
        ):
            assert find(lines, *words), words
        assert source.asked == ["100 web"]
        await step(app, pilot, "j", "slash", "less_than_sign")
        assert isinstance(app.screen, DiskScreen)
        await step(app, pilot, "escape")
        assert not isinstance(app.screen, DiskScreen)
        assert source.asked == ["100 web", ""]


@driven
async def test_page_of_a_disk_says_when_it_has_gone() -> None:
    """It does not show what was."""
    app = TopApp(Source(make_rows(make_guest(100)), make_rows(make_guest(100)), make_rows()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("3", "enter")
        await step(app, pilot)
        assert find(await step(app, pilot), "100 web: scsi0 is not there any more")


@driven
async def test_polling_is_set_after_a_confirmation_and_undone() -> None:
    """Only what was changed is set."""
    source = Source(make_rows(make_guest(100)))
    app = TopApp(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await step(app, pilot, "p")
        assert isinstance(app.screen, PollingScreen)
        app.screen.query_one("#poll-max-ns", Input).value = "0"
        lines = await step(app, pilot, "enter")
        assert isinstance(app.screen, ConfirmScreen)
        assert find(lines, "100 web, io0?")
        assert find(lines, "poll-max-ns: 32768 → 0")
        assert not source.set
        await step(app, pilot, "y")
        assert source.set == [("100 web", "io0", {"poll-max-ns": 0})]
        assert len(app.changes) == 1
        lines = await step(app, pilot, "U")
        assert find(lines, "poll-max-ns: 0 → 32768")
        await step(app, pilot, "y")
        assert source.set[1:] == [("100 web", "io0", {"poll-max-ns": 32768})]
        assert not app.changes


@driven
async def test_tab_in_a_dialog_is_for_its_fields() -> None:
    """The table behind it stays."""
    app = TopApp(Source(make_rows(make_guest(100))))
    async with app.run_test(size=(80, 24)) as pilot:
        await step(app, pilot, "p", "tab")
        assert app.screen.query_one("#poll-grow", Input).has_focus
        lines = await step(app, pilot, "escape")
        assert find(lines, "main   IOThread")


@driven
async def test_polling_is_not_set_without_a_confirmation() -> None:
    """By Escape, by no, or by a value that is no number."""
    source = Source(make_rows(make_guest(100)))
    app = TopApp(source)
    async with app.run_test(size=(80, 24)) as pilot:
        await step(app, pilot, "p", "escape")
        await step(app, pilot, "p")
        app.screen.query_one("#poll-grow", Input).value = "-1"
        await step(app, pilot, "enter")
        assert isinstance(app.screen, PollingScreen)
        app.screen.query_one("#poll-grow", Input).value = "4"
        await step(app, pilot, "enter")
        await step(app, pilot, "n")
        assert not isinstance(app.screen, (PollingScreen, ConfirmScreen))
        assert not source.set


@driven
async def test_refusal_says_how_the_manager_does_it() -> None:
    """As libvirt's, whose monitor is its daemon's."""
    error = CapabilityError(
        "its monitor is its manager's alone", hint="virsh iothreadset web 1 --poll-max-ns 0"
    )
    app = TopApp(Source(make_rows(make_guest(100)), error=error))
    async with app.run_test(size=(80, 24)) as pilot:
        await step(app, pilot, "p")
        app.screen.query_one("#poll-max-ns", Input).value = "0"
        await step(app, pilot, "enter")
        lines = await step(app, pilot, "y")
        assert isinstance(app.screen, MessageScreen)
        assert find(lines, "virsh iothreadset web 1 --poll-max-ns 0")
        assert not app.changes


@driven
async def test_recording_ends_and_cannot_be_changed() -> None:
    """Its last look stays on the screen."""
    app = TopApp(Recording(make_rows(make_guest(100))))
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await step(app, pilot)
        assert find(lines, "ENDED")
        assert find(lines, "100 web", "%")
        await step(app, pilot, "p")
        assert not isinstance(app.screen, PollingScreen)


@driven
async def test_host_without_guests_says_so() -> None:
    """No key ends it but the one that should."""
    app = TopApp(Source(replace(make_rows(), unseen=("/proc hides some",))))
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await step(app, pilot, "enter", "p", "j", "k", "less_than_sign", "r", "v", "2")
        assert find(lines, "no guest to watch is seen to run on this host")
        assert find(lines, "/proc hides some")
        assert app.failure is None


@driven
async def test_names_control_nothing() -> None:
    """Neither by escape sequences nor by Textual's markup."""
    guest = replace(make_guest(100, verdicts=(FULL,)), label="[red]x[/]\x1b[2J\nforged\u202e")
    app = TopApp(Source(make_rows(guest)))
    async with app.run_test(size=(160, 50)) as pilot:
        lines = await step(app, pilot)
        assert find(lines, r"[red]x[/]\x1b[2J\nforged\u202e")
        assert find(lines, "[red]x[/]", "what limits it")
        assert find(await step(app, pilot, "3", "enter"), "[red]x[/]")
        assert find(await step(app, pilot, "p"), "[red]x[/]", "polling of io0")


@driven
async def test_help_lists_the_keys_and_fits() -> None:
    """On the smallest terminal, too."""
    app = TopApp(Source(make_rows(make_guest(100))))
    async with app.run_test(size=(80, 24)) as pilot:
        lines = await step(app, pilot, "question_mark")
        assert find(lines, "quit")
        assert find(lines, "- is what is not known.")
        assert not find(await step(app, pilot, "escape"), "- is what is not known.")


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (80, 24), (300, 90)])
def test_every_size_shows_something(size: tuple[int, int]) -> None:
    """No table is wider than its screen, which would scroll sideways."""

    @driven
    async def run() -> None:
        app = TopApp(Source(make_rows(make_guest(100, verdicts=(FULL,)))))
        async with app.run_test(size=size) as pilot:
            for key in ("1", "2", "3"):
                lines = await step(app, pilot, key)
                assert max(map(len, lines)) <= size[0]
                table = app.query_one(LiveTable)
                assert size[0] < 60 or table.virtual_size.width <= size[0]

    run()


@driven
async def test_error_of_a_look_ends_the_screen_and_is_kept() -> None:
    """The caller says it when the terminal is as it was."""
    source = Source(make_rows(make_guest(100)))
    app = TopApp(source)
    source.fails = QmpError("it broke off")

    async def drive() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await step(app, pilot)

    with pytest.raises(WorkerFailed, match="it broke off"):
        await drive()
    assert isinstance(app.failure, QmpError)
