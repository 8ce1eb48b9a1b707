"""What pages with charts over time share: uPlot with its licence, and the script that uses it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Final

__all__ = ["CHART_CSS", "COLOURS", "dump_charts", "read_chart_css", "read_chart_script"]

COLOURS: Final = 8
"""Of lines, in `CHART_CSS`."""
CHART_CSS: Final = """
:root{--l0:#0072b2;--l1:#d55e00;--l2:#00845f;--l3:#a3358c;--l4:#8a6d00;--l5:#c23b3b;
--l6:#5d6b7a;--l7:#8b5fbf}
@media (prefers-color-scheme:dark){:root{--l0:#56b4e9;--l1:#ff8c42;--l2:#2fc79b;--l3:#e58fd0;
--l4:#e3c24d;--l5:#ff8080;--l6:#b4bfcb;--l7:#c4a2ee}}
a{color:inherit}
.index :is(th,td):nth-child(-n+4){text-align:left}
.charts{grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));margin:16px 0}
.chart{min-height:220px}
.u-legend{font-size:12px;text-align:left}.u-legend th,.u-legend td{border:0;padding:1px 4px}
.u-legend tr{break-inside:avoid}
.u-legend .u-marker{border-radius:2px}
.u-legend.u-inline .u-series th{color:var(--ink);position:static;background:none}
"""


def read_chart_script() -> str:
    """Returns uPlot's script with its licence, and the script that draws the charts.

    The first line of uPlot's is left out: it has an address of the web, and nothing else but the
    version.
    """
    script = _read_vendored("uPlot.iife.min.js").partition("\n")[2].strip()
    own = files("vmio.report.history").joinpath("charts.js").read_text(encoding="utf-8")
    return f"/*!\nuPlot {_read_vendored('LICENSE')}*/\n{script}\n{own}"


def read_chart_css() -> str:
    """Returns uPlot's styles, which follow `CHART_CSS`."""
    return _read_vendored("uPlot.min.css")


def dump_charts(data: dict[str, object]) -> str:
    """Returns the data of charts as JSON that ends no element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _read_vendored(name: str) -> str:
    folder = files("vmio.report").joinpath("vendor", "uplot")
    return folder.joinpath(name).read_text(encoding="utf-8")
