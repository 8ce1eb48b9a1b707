"""What every face of vmio calls: files and sockets in, models out, models in, text out.

A function that a quick verb does not need is imported where it is used, since what is imported is
what a person waits for.
"""

from vmio.api.calibrating import (
    calibrate,
    check_idle,
    check_profile_path,
    find_profile,
    read_profile,
    save_profile,
)
from vmio.api.changing import (
    apply,
    lacks_processors,
    list_changed,
    list_compared,
    list_policies,
    list_runs,
    make_plan,
    prepare_apply,
    prepare_undo,
    preview_plan,
    read_plan,
    render_qm,
    save_plan,
    undo,
)
from vmio.api.checking import (
    check,
    check_all,
    choose_baseline,
    find_house,
    fix,
    lint,
    read_baseline,
    read_house,
    write_baseline,
)
from vmio.api.guests import (
    build_command,
    diff,
    emit,
    find_vms,
    load,
    load_source,
    plan,
    read_place,
    read_places,
)
from vmio.api.hosts import complete_version, read_host, save_host
from vmio.api.polling import (
    check_recording,
    connect_cluster,
    rank_plans,
    read_trace,
    simulate,
    simulate_sweep,
)
from vmio.api.running import boot, choose_boot, observe, verify
from vmio.api.stories import explain
from vmio.formats.shell import quote
from vmio.host.files import is_folder, is_there, read_source

__all__ = [
    "apply",
    "boot",
    "build_command",
    "calibrate",
    "check",
    "check_all",
    "check_idle",
    "check_profile_path",
    "check_recording",
    "choose_baseline",
    "choose_boot",
    "complete_version",
    "connect_cluster",
    "diff",
    "emit",
    "explain",
    "find_house",
    "find_profile",
    "find_vms",
    "fix",
    "is_folder",
    "is_there",
    "lacks_processors",
    "lint",
    "list_changed",
    "list_compared",
    "list_policies",
    "list_runs",
    "load",
    "load_source",
    "make_plan",
    "observe",
    "plan",
    "prepare_apply",
    "prepare_undo",
    "preview_plan",
    "quote",
    "rank_plans",
    "read_baseline",
    "read_host",
    "read_house",
    "read_place",
    "read_places",
    "read_plan",
    "read_profile",
    "read_source",
    "read_trace",
    "render_qm",
    "save_host",
    "save_plan",
    "save_profile",
    "simulate",
    "simulate_sweep",
    "undo",
    "verify",
    "write_baseline",
]
