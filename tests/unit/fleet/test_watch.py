"""What is noticed of files that change, and told of what was found of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from msgspec import Struct, field

from vmio.errors import InputError, VmioError
from vmio.fleet.watch import ReportedFinding, WatchChange, WatchState, compare, settle, watch
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.managers.proxmox.inventory import Found
from vmio.managers.proxmox.watch import FileStates, State
from vmio.values import replace

THREAD = Diagnostic(
    code="TH001", name="a", severity=Severity.WARNING, message="m", source="1", subject="scsi0"
)
LIMIT = replace(THREAD, code="LI001", name="b", message="of bytes")


def told(diagnostic: Diagnostic) -> ReportedFinding:
    """Returns what is kept of a finding."""
    return compare((), CheckedFile(name="1", diagnostics=(diagnostic,)))[0][0]


class Answer(Struct):
    """What came of a check."""

    reported: tuple[ReportedFinding, ...] = ()
    changed: bool = False
    error: VmioError | None = None


class World(Struct):
    """Files that a test changes between looks, and what was done about them."""

    shared: dict[str, State] = field(default_factory=dict)
    configs: dict[str, State] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    failure: VmioError | None = None
    checked: list[list[str]] = field(default_factory=list)
    looks: int = 0
    hidden: dict[int, str] = field(default_factory=dict)
    """What a look does not see, by its number."""

    def look(self) -> FileStates:
        """Returns what there is to see."""
        self.looks += 1
        configs = {
            path: (Found(path=path), state)
            for path, state in self.configs.items()
            if path != self.hidden.get(self.looks)
        }
        return FileStates(shared=dict(self.shared), configs=configs)

    def refresh(self) -> None:
        """Fails if it is to."""
        if self.failure is not None:
            raise self.failure

    def check(self, vms: Sequence[Found]) -> Iterator[tuple[Found, Answer]]:
        """Returns the answers that are prepared."""
        self.checked.append([vm.path for vm in vms])
        return ((vm, self.answers[vm.path]) for vm in vms if vm.path in self.answers)

    def run(self, *steps: Callable[[], object]) -> list[WatchChange]:
        """Watches through steps, one before each look, and returns what was told."""
        memory = WatchState()
        for path, answer in self.answers.items():
            memory.note(path, answer)
        waiting = iter(steps)

        def wait() -> None:
            next(waiting)()

        told: list[WatchChange] = []

        def collect() -> None:
            for change in watch(
                self.look(),
                memory,
                look=self.look,
                refresh=self.refresh,
                check=self.check,
                wait=wait,
            ):
                told.append(change)  # noqa: PERF402 - what came before the end counts

        with pytest.raises(RuntimeError):  # there is no step left
            collect()
        return told


@pytest.fixture
def world() -> World:
    """Returns two configs and a storage.cfg, all well."""
    return World(
        shared={"storage.cfg": (1, 1, 1)},
        configs={"1.conf": (1, 1, 1), "2.conf": (1, 1, 2)},
        answers={"1.conf": Answer(), "2.conf": Answer()},
    )


def stay() -> None:
    """Changes nothing."""


def test_watch_of_files_that_stay_checks_and_tells_nothing(world: World) -> None:
    """It only looks."""
    assert world.run(stay, stay, stay) == []
    assert world.checked == []
    assert world.looks == 4


def test_watch_checks_what_changed_and_tells_what_is_news(world: World) -> None:
    """A change that settles and adds no finding is checked, and not told."""

    def touch() -> None:
        world.configs["1.conf"] = (2, 1, 1)

    def harm() -> None:
        world.configs["2.conf"] = (2, 1, 2)
        world.answers["2.conf"] = Answer(reported=(told(THREAD),), changed=True)

    (change,) = world.run(touch, harm, stay)
    assert world.checked == [["1.conf"], ["2.conf"]]
    assert [vm.path for vm, _ in change.verdicts] == ["2.conf"]


def test_watch_notices_configs_that_come_and_go(world: World) -> None:
    """A new config is checked; one that vanished is told once."""

    def move() -> None:
        del world.configs["1.conf"]
        world.configs["3.conf"] = (1, 1, 3)
        world.answers["3.conf"] = Answer(reported=(told(THREAD),), changed=True)

    (change,) = world.run(move, stay)
    assert change.gone == ("1.conf",)
    assert [vm.path for vm, _ in change.verdicts] == ["3.conf"]
    assert world.checked == [["3.conf"]]


def test_watch_does_not_miss_a_config_that_is_back_at_a_second_look(world: World) -> None:
    """One in /etc/pve has no name for a moment while it is replaced."""

    def hide() -> None:
        world.hidden = {world.looks + 1: "1.conf"}

    assert world.run(hide, stay) == []
    assert world.checked == []
    assert world.looks == 4


def test_watch_checks_everything_when_what_all_goes_by_changes(world: World) -> None:
    """A storage.cfg that is another, or new, concerns every config."""

    def replace() -> None:
        world.shared["storage.cfg"] = (2, 1, 1)

    def add() -> None:
        world.shared["vmio.toml"] = (1, 1, 5)

    assert world.run(replace, add, stay) == []
    assert world.checked == [["1.conf", "2.conf"]] * 2


def test_watch_tells_once_of_what_cannot_be_read_and_tries_again(world: World) -> None:
    """A config that is half written is told once, checked at each look, and told when it is well.

    Its findings are neither settled nor forgotten meanwhile.
    """
    known = (told(THREAD),)
    world.answers["1.conf"] = Answer(reported=known)

    def break_() -> None:
        world.configs["1.conf"] = (2, 0, 1)
        world.answers["1.conf"] = Answer(reported=known, error=InputError("half"))

    def mend() -> None:
        world.configs["1.conf"] = (3, 1, 1)
        world.answers["1.conf"] = Answer(reported=known)

    broken, mended = world.run(break_, stay, stay, mend, stay)
    assert [verdict.error is not None for _, verdict in broken.verdicts] == [True]
    assert [(vm.path, verdict.changed) for vm, verdict in mended.verdicts] == [("1.conf", False)]
    assert world.checked == [["1.conf"]] * 4


def test_watch_keeps_what_it_knows_while_the_project_config_is_half_written(world: World) -> None:
    """The error is told once; changed configs are checked meanwhile, and everything afterwards."""
    broken = InputError("half")

    def break_() -> None:
        world.shared["vmio.toml"] = (1, 1, 5)
        world.failure = broken

    def touch() -> None:
        world.configs["2.conf"] = (2, 1, 2)

    def mend() -> None:
        world.shared["vmio.toml"] = (2, 1, 5)
        world.failure = None

    (change,) = world.run(break_, stay, touch, mend, stay)
    assert change == WatchChange(error=broken)
    assert world.checked == [["2.conf"], ["1.conf", "2.conf"]]


def test_watch_tells_a_failure_again_after_it_was_mended(world: World) -> None:
    """The same slip made twice is two slips."""

    def break_() -> None:
        world.shared["vmio.toml"] = (world.looks, 1, 5)
        world.failure = InputError("half")

    def undo() -> None:
        del world.shared["vmio.toml"]
        world.failure = None

    assert len(world.run(break_, undo, break_, stay)) == 2


def test_watch_takes_what_could_not_be_checked_at_the_next_look(world: World) -> None:
    """A config that no answer came of is due until there is one."""
    world.configs["3.conf"] = (1, 1, 3)

    def come() -> None:
        world.configs["4.conf"] = (1, 1, 4)

    def answer() -> None:
        world.answers["4.conf"] = Answer()

    world.run(come, stay, answer, stay)
    assert world.checked == [["4.conf"]] * 3


def test_settle_reads_again_what_changed_while_it_was_read(world: World) -> None:
    """What it returns was seen before the last reading."""
    reads: list[State] = []

    def refresh() -> None:
        reads.append(world.shared["storage.cfg"])
        if len(reads) == 1:
            world.shared["storage.cfg"] = (2, 1, 1)

    assert settle(world.look, refresh).shared == {"storage.cfg": (2, 1, 1)}
    assert reads == [(1, 1, 1), (2, 1, 1)]


def test_settle_ends_though_something_changes_for_ever(world: World) -> None:
    """Then what it returns differs from what there is, so that the next look reads again."""

    def refresh() -> None:
        world.shared["storage.cfg"] = (world.looks, 2, 1)

    assert settle(world.look, refresh).shared != world.look().shared


def test_compare_tells_new_and_settled_findings() -> None:
    """What was told before is neither."""
    file = CheckedFile(name="1", diagnostics=(THREAD,))
    assert compare((), file) == ((told(THREAD),), (THREAD,), ())
    assert compare((told(THREAD), told(LIMIT)), file) == ((told(THREAD),), (), (told(LIMIT),))


def test_compare_takes_a_finding_in_other_words_for_a_new_one() -> None:
    """It is not called settled too, for it is still there."""
    other = replace(THREAD, message="in other words")
    file = CheckedFile(name="1", diagnostics=(other,))
    assert compare((told(THREAD),), file) == ((told(other),), (other,), ())


def test_compare_counts_findings_that_are_alike() -> None:
    """Of two equal ones one can be settled."""
    file = CheckedFile(name="1", diagnostics=(LIMIT,))
    assert compare((told(LIMIT), told(LIMIT)), file)[1:] == ((), (told(LIMIT),))
