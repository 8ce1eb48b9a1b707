"""The use cases that faces and programs call: one module a verb.

Functions that a quick verb does not need are imported where they are used, because a person waits
for every import. Classes, the functions that need them, and those of verbs that are no check are
imported on first access, where no function has its module's name: `app.plan` is only a module.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vmio.app.addresses import ADDRESSES, find_guest, find_guests, find_processes
from vmio.app.apply import apply, find_refusal, prepare_apply, render_commands
from vmio.app.calibrate import (
    calibrate,
    check_idle,
    check_profile_path,
    find_profile,
    read_profile,
    save_profile,
)
from vmio.app.check import (
    check,
    check_all,
    choose_baseline,
    find_project_config,
    fix,
    lint,
    read_baseline,
    read_project_config,
)
from vmio.app.diff import diff
from vmio.app.explain import explain, explain_all
from vmio.app.guests import (
    build_command,
    find_vms,
    lay_out,
    load,
    load_source,
    open_guest,
    read_place,
    read_places,
)
from vmio.app.host import complete_version, read_host, render_host, save_host
from vmio.app.simulate import (
    connect_cluster,
    rank_plans,
    simulate,
    simulate_sweep,
    split_settings,
)
from vmio.app.undo import list_changed, list_runs, prepare_undo, undo
from vmio.formats.shell import quote
from vmio.host.files import is_folder, is_there, read_source

if TYPE_CHECKING:
    from vmio.app.autopilot import list_steered, restore_polling, steer_guests
    from vmio.app.autopilot_log import MAX_LOG_BYTES, log_steering, read_steering
    from vmio.app.baseline import Recorded, record_baseline, write_baseline
    from vmio.app.bench import (
        BENCH_MEMORY_MIB,
        BenchInputs,
        LiveBenchInputs,
        compare_results,
        plan_extent,
        prepare_bench,
        prepare_live_bench,
        read_jobs,
        run_bench,
        run_live_bench,
    )
    from vmio.app.cmd import (
        Command,
        CommandInputs,
        check_number,
        emit,
        emit_all,
        emit_file,
        list_configs,
        name_place,
        needs_host,
    )
    from vmio.app.complete import (
        complete_disks,
        complete_policies,
        complete_rules,
        complete_running,
        complete_snapshots,
        complete_vms,
    )
    from vmio.app.guest import ensure_image
    from vmio.app.guests import Guest
    from vmio.app.inputs import CheckInputs, Fixing
    from vmio.app.live import judge_guests
    from vmio.app.plan import (
        lacks_processors,
        list_compared,
        list_policies,
        make_plan,
        preview_plan,
        read_plan,
        render_plan,
        save_plan,
    )
    from vmio.app.ps import Listed, list_running
    from vmio.app.record import (
        MAX_RECORDING_BYTES,
        RecordProgress,
        read_history,
        record_guests,
    )
    from vmio.app.replay import check_recording, choose_settings, complete_settings, read_trace
    from vmio.app.rule import list_rules, read_rule
    from vmio.app.run import (
        boot,
        boot_with_socket,
        choose_boot,
        parse_volumes,
        render_boot,
        verify,
    )
    from vmio.app.show import RunningDomain, list_layouts, observe, observe_domain
    from vmio.app.top import PollingChange, TopSource, open_recorded, open_top
    from vmio.app.tune import make_live_tuner, make_tuner, prepare_live_tune, prepare_tune
    from vmio.app.watch import INTERVAL_S, Verdict, Watch, WatchChange
    from vmio.autopilot.pilot import AutopilotEvent
    from vmio.autopilot.timeline import TimeLine
    from vmio.autopilot.values import PollingGoal
    from vmio.bench.course import Progress
    from vmio.bench.regression import Regressions
    from vmio.bench.result import Comparison
    from vmio.guest.image import GuestImage
    from vmio.lint.diagnostic import CheckedFile, Severity
    from vmio.lint.pages import Page, render_page
    from vmio.managers.discovery import Monitor, RunningGuest
    from vmio.managers.journal import WrittenConfig
    from vmio.managers.libvirt.find import name_path
    from vmio.managers.planned import Outcome, PreparedPlan
    from vmio.managers.proxmox.inventory import Found
    from vmio.managers.proxmox.places import Places
    from vmio.managers.undo import NotRestored, PreparedUndo
    from vmio.qemu.boot import Boot, Volumes
    from vmio.qemu.signals import run_async, unwind_on_signals
    from vmio.report.explanation.guest import ExplainedGuest
    from vmio.report.guests.order import put_worst_first
    from vmio.report.layout.guest import ShownGuest
    from vmio.sim.polling import PollSettings
    from vmio.sim.ranking import Criterion, Ranking
    from vmio.sim.sweep import Grid, SweepPoint
    from vmio.tune.booted import TuneTask
    from vmio.tune.result import Tuning
    from vmio.tune.space import TunePart
    from vmio.tune.tuner import SearchTask, Tuner

__all__ = [
    "ADDRESSES",
    "BENCH_MEMORY_MIB",
    "INTERVAL_S",
    "MAX_LOG_BYTES",
    "MAX_RECORDING_BYTES",
    "AutopilotEvent",
    "BenchInputs",
    "Boot",
    "CheckInputs",
    "CheckedFile",
    "Command",
    "CommandInputs",
    "Comparison",
    "Criterion",
    "ExplainedGuest",
    "Fixing",
    "Found",
    "Grid",
    "Guest",
    "GuestImage",
    "Listed",
    "LiveBenchInputs",
    "Monitor",
    "NotRestored",
    "Outcome",
    "Page",
    "Places",
    "PollSettings",
    "PollingChange",
    "PollingGoal",
    "PreparedPlan",
    "PreparedUndo",
    "Progress",
    "Ranking",
    "RecordProgress",
    "Recorded",
    "Regressions",
    "RunningDomain",
    "RunningGuest",
    "SearchTask",
    "Severity",
    "ShownGuest",
    "SweepPoint",
    "TimeLine",
    "TopSource",
    "TunePart",
    "TuneTask",
    "Tuner",
    "Tuning",
    "Verdict",
    "Volumes",
    "Watch",
    "WatchChange",
    "WrittenConfig",
    "apply",
    "boot",
    "boot_with_socket",
    "build_command",
    "calibrate",
    "check",
    "check_all",
    "check_idle",
    "check_number",
    "check_profile_path",
    "check_recording",
    "choose_baseline",
    "choose_boot",
    "choose_settings",
    "compare_results",
    "complete_disks",
    "complete_policies",
    "complete_rules",
    "complete_running",
    "complete_settings",
    "complete_snapshots",
    "complete_version",
    "complete_vms",
    "connect_cluster",
    "diff",
    "emit",
    "emit_all",
    "emit_file",
    "ensure_image",
    "explain",
    "explain_all",
    "find_guest",
    "find_guests",
    "find_processes",
    "find_profile",
    "find_project_config",
    "find_refusal",
    "find_vms",
    "fix",
    "is_folder",
    "is_there",
    "judge_guests",
    "lacks_processors",
    "lay_out",
    "lint",
    "list_changed",
    "list_compared",
    "list_configs",
    "list_layouts",
    "list_policies",
    "list_rules",
    "list_running",
    "list_runs",
    "list_steered",
    "load",
    "load_source",
    "log_steering",
    "make_live_tuner",
    "make_plan",
    "make_tuner",
    "name_path",
    "name_place",
    "needs_host",
    "observe",
    "observe_domain",
    "open_guest",
    "open_recorded",
    "open_top",
    "parse_volumes",
    "plan_extent",
    "prepare_apply",
    "prepare_bench",
    "prepare_live_bench",
    "prepare_live_tune",
    "prepare_tune",
    "prepare_undo",
    "preview_plan",
    "put_worst_first",
    "quote",
    "rank_plans",
    "read_baseline",
    "read_history",
    "read_host",
    "read_jobs",
    "read_place",
    "read_places",
    "read_plan",
    "read_profile",
    "read_project_config",
    "read_rule",
    "read_source",
    "read_steering",
    "read_trace",
    "record_baseline",
    "record_guests",
    "render_boot",
    "render_commands",
    "render_host",
    "render_page",
    "render_plan",
    "restore_polling",
    "run_async",
    "run_bench",
    "run_live_bench",
    "save_host",
    "save_plan",
    "save_profile",
    "simulate",
    "simulate_sweep",
    "split_settings",
    "steer_guests",
    "undo",
    "unwind_on_signals",
    "verify",
    "write_baseline",
]

_LATER = {
    "vmio.app.autopilot": ("list_steered", "restore_polling", "steer_guests"),
    "vmio.app.autopilot_log": ("MAX_LOG_BYTES", "log_steering", "read_steering"),
    "vmio.app.baseline": ("Recorded", "record_baseline", "write_baseline"),
    "vmio.app.bench": (
        "BENCH_MEMORY_MIB",
        "BenchInputs",
        "LiveBenchInputs",
        "compare_results",
        "plan_extent",
        "prepare_bench",
        "prepare_live_bench",
        "read_jobs",
        "run_bench",
        "run_live_bench",
    ),
    "vmio.app.cmd": (
        "Command",
        "CommandInputs",
        "check_number",
        "emit",
        "emit_all",
        "emit_file",
        "list_configs",
        "name_place",
        "needs_host",
        "needs_host",
    ),
    "vmio.app.complete": (
        "complete_disks",
        "complete_policies",
        "complete_rules",
        "complete_running",
        "complete_snapshots",
        "complete_vms",
    ),
    "vmio.app.guest": ("ensure_image",),
    "vmio.app.guests": ("Guest",),
    "vmio.app.inputs": ("CheckInputs", "Fixing"),
    "vmio.app.live": ("judge_guests",),
    "vmio.app.plan": (
        "lacks_processors",
        "list_compared",
        "list_policies",
        "make_plan",
        "preview_plan",
        "read_plan",
        "render_plan",
        "save_plan",
    ),
    "vmio.app.ps": ("Listed", "list_running"),
    "vmio.app.record": (
        "MAX_RECORDING_BYTES",
        "RecordProgress",
        "read_history",
        "record_guests",
    ),
    "vmio.app.replay": ("check_recording", "choose_settings", "complete_settings", "read_trace"),
    "vmio.app.rule": ("list_rules", "read_rule"),
    "vmio.app.run": (
        "boot",
        "boot_with_socket",
        "choose_boot",
        "parse_volumes",
        "render_boot",
        "verify",
    ),
    "vmio.app.show": ("RunningDomain", "list_layouts", "observe", "observe_domain"),
    "vmio.app.top": ("PollingChange", "TopSource", "open_recorded", "open_top"),
    "vmio.app.tune": ("make_live_tuner", "make_tuner", "prepare_live_tune", "prepare_tune"),
    "vmio.app.watch": ("INTERVAL_S", "WatchChange", "Verdict", "Watch"),
    "vmio.managers.libvirt.find": ("name_path",),
    "vmio.managers.planned": ("Outcome", "PreparedPlan"),
    "vmio.managers.journal": ("WrittenConfig",),
    "vmio.managers.undo": ("NotRestored", "PreparedUndo"),
    "vmio.autopilot.pilot": ("AutopilotEvent",),
    "vmio.autopilot.timeline": ("TimeLine",),
    "vmio.autopilot.values": ("PollingGoal",),
    "vmio.bench.course": ("Progress",),
    "vmio.bench.regression": ("Regressions",),
    "vmio.bench.result": ("Comparison",),
    "vmio.managers.discovery": ("Monitor", "RunningGuest"),
    "vmio.managers.proxmox.inventory": ("Found",),
    "vmio.managers.proxmox.places": ("Places",),
    "vmio.guest.image": ("GuestImage",),
    "vmio.lint.diagnostic": ("CheckedFile", "Severity"),
    "vmio.lint.pages": ("Page", "render_page"),
    "vmio.qemu.boot": ("Boot", "Volumes"),
    "vmio.qemu.signals": ("run_async", "unwind_on_signals"),
    "vmio.report.explanation.guest": ("ExplainedGuest",),
    "vmio.report.guests.order": ("put_worst_first",),
    "vmio.report.layout.guest": ("ShownGuest",),
    "vmio.sim.polling": ("PollSettings",),
    "vmio.sim.ranking": ("Criterion", "Ranking"),
    "vmio.sim.sweep": ("Grid", "SweepPoint"),
    "vmio.tune.booted": ("TuneTask",),
    "vmio.tune.result": ("Tuning",),
    "vmio.tune.space": ("TunePart",),
    "vmio.tune.tuner": ("SearchTask", "Tuner"),
}
"""The module of each name that is imported on first access."""
_HOMES = {name: module for module, names in _LATER.items() for name in names}


if not TYPE_CHECKING:
    # With this in its sight a type checker would accept any name.
    def __getattr__(name: str) -> object:
        """Imports a name on first access."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
