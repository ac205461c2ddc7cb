"""gossip_report.py - the figures of tests/bench/gossip as a page with plots."""

import html
import math
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sim"))

import scale  # noqa: E402

WIDTH, HEIGHT, LEFT, BOTTOM, TOP_, RIGHT = 560, 320, 60, 46, 28, 150
COLOURS = ("#1b6ca8", "#c8553d", "#3f8f5f", "#8a5aa8", "#b58900", "#555555", "#2aa198", "#d33682")


def nice_ticks(low, high, is_log):
    if is_log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0 ** e for e in range(first, last + 1)]
    span = high - low or 1
    step = 10 ** math.floor(math.log10(span / 4))
    step *= min((m for m in (1, 2, 5, 10) if span / (step * m) <= 5), default=10)
    count = int(math.ceil(high / step))
    return [step * i for i in range(count + 1)]


class Plot:
    """Lines over two axes; `series` is [(name, [(x, y), ...]), ...]."""

    def __init__(self, title, x_name, y_name, series, x_log=False, y_log=False):
        self.title, self.x_name, self.y_name = title, x_name, y_name
        self.series = [(n, [p for p in points if p[1] == p[1] and p[1] is not None])
                       for n, points in series]
        self.series = [(n, points) for n, points in self.series if points]
        self.x_log, self.y_log = x_log, y_log

    def scale(self, values, is_log, low_px, high_px):
        if is_log:
            values = [v for v in values if v > 0]
        ticks = nice_ticks(min(values) if is_log else 0, max(values), is_log)
        low, high = ticks[0], ticks[-1]
        if low == high:
            high = low * 10 if is_log else low + 1

        def place(v):
            if is_log:
                v, a, b = math.log10(max(v, low)), math.log10(low), math.log10(high)
            else:
                a, b = low, high
            return low_px + (v - a) / (b - a) * (high_px - low_px)
        return ticks, place

    def svg(self):
        if not self.series:
            return ""
        points = [p for _, ps in self.series for p in ps]
        x_ticks, x_at = self.scale([p[0] for p in points], self.x_log, LEFT, WIDTH - RIGHT)
        y_ticks, y_at = self.scale([p[1] for p in points], self.y_log, HEIGHT - BOTTOM, TOP_)
        out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
               f'width="{WIDTH}" height="{HEIGHT}" role="img" font-size="11">',
               f'<text x="{LEFT}" y="16" font-weight="bold">{html.escape(self.title)}</text>']
        for tick in x_ticks:
            x = x_at(tick)
            out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP_}" y2="{HEIGHT - BOTTOM}" '
                       'stroke="#ddd"/>'
                       f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">'
                       f'{tick:g}</text>')
        for tick in y_ticks:
            y = y_at(tick)
            out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
                       'stroke="#ddd"/>'
                       f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        out.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">'
                   f'{html.escape(self.x_name)}</text>'
                   f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" '
                   f'text-anchor="middle">{html.escape(self.y_name)}</text>')
        for i, (name, line) in enumerate(self.series):
            colour = COLOURS[i % len(COLOURS)]
            path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                       'stroke-width="1.8"/>')
            if len(line) <= 12:
                out += [f'<circle cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3" fill="{colour}"/>'
                        for x, y in line]
            out.append(f'<text x="{WIDTH - RIGHT + 10}" y="{TOP_ + 14 + 16 * i}" '
                       f'fill="{colour}">{html.escape(name)}</text>')
        out.append("</svg>")
        return "\n".join(out)


def median(values):
    values = sorted(v for v in values if v is not None)
    return values[len(values) // 2] if values else float("nan")


def spread(results, key, title):
    """The share of all deliveries that have happened by a moment."""
    series = []
    for r in results:
        moments = r[key]["moments"]
        count = len(moments) + r[key]["missed"]
        step = max(1, len(moments) // 150)
        series.append((f"{r['tool']} {r['size']}",
                       [(m * 1000, 100 * (i + 1) / count)
                        for i, m in enumerate(moments) if i % step == 0 or i == len(moments) - 1]))
    return Plot(title, "ms after the event was sent", "% of agents told", series)


def by_size(results, title, y_name, value, y_log=True):
    series = []
    for tool in ("serf", "muster"):
        points = [(r["size"], value(r)) for r in results if r["tool"] == tool]
        series.append((tool, [p for p in points if p[1] == p[1]]))
    return Plot(title, "agents", y_name, series, x_log=True, y_log=y_log)


def real_plots(results):
    return [
        spread(results, "small", "Events of 20 bytes"),
        spread(results, "large", "Events of 400 bytes"),
        spread(results, "congested", "Beside 50 other events a second"),
        spread(results, "under_failure", "A tenth of the agents just killed"),
        spread(results, "under_leave", "A tenth of the agents leaving"),
        by_size(results, "All members see all", "s after the first start",
                lambda r: r["converged"]),
        by_size(results, "Event to the last agent (median)", "s",
                lambda r: median(r["small"]["last"])),
        by_size(results, "Crash known to the last agent (median)", "s",
                lambda r: median(r["crash"]["last"])),
        by_size(results, "Leave known to the last agent (median)", "s",
                lambda r: median(r["leave"]["last"])),
        by_size(results, "Resident memory of an agent", "MB", lambda r: r["rest"]["rss_mb"],
                False),
        by_size(results, "Processor of an agent at rest", "% of a core",
                lambda r: r["rest"]["cpu_percent"], False),
        by_size(results, "Datagrams an agent sends at rest", "per second",
                lambda r: r["rest"]["datagrams"], False),
    ]


def simulated_plots(simulated):
    sizes = [s for s in simulated if s.get("kind") == "detection"]
    plots = []
    for what, title in (("all", "Crash known to all, simulated"),
                        ("first", "Crash known to the first, simulated"),
                        ("event", "Event to the last, simulated")):
        series = [(f"{share} %", [(s["nodes"], s[what][str(share)] / 1000) for s in sizes])
                  for share in (50, 90, 100)]
        plots.append(Plot(title, "nodes", "s", series, x_log=True))
    hops = [(f"{s['nodes']} nodes", [(i, v) for i, v in enumerate(s["hops"])]) for s in sizes]
    plots.append(Plot("Hops an event took to an agent", "hops", "% of agents", hops))
    return plots


def alarm_rows(simulated):
    names = {"loss": "25 % loss", "stops": "5 nodes stopped 1 s in every 5",
             "starved": "all processors starved to a fifth",
             "oneway": "one node with 60 % loss towards it"}
    rows = []
    for key, name in names.items():
        found = {s["rules"]: s for s in simulated
                 if s.get("kind") == "alarms" and s["scenario"] == key}
        if found:
            rows.append((name, found.get("memberlist"), found.get("muster")))
    return rows


def write_report(path, results, simulated, lines):
    out = ["<!doctype html><meta charset=utf-8><title>muster: gossip measured</title>",
           "<style>body{font:14px/1.5 sans-serif;max-width:1200px;margin:2em auto}"
           "pre{overflow:auto}table{border-collapse:collapse}td,th{padding:2px 12px;"
           "text-align:right}td:first-child{text-align:left}</style>",
           "<h1>Gossip measured</h1>",
           "<p>Real agents: everything on one machine, each cluster alone in a network namespace, "
           "asked and driven through Serf's control port. Three of muster's agents are servers, "
           "all of them also serve HTTP and DNS. Compare columns of one run only.</p>"]
    if results:
        out.append("<pre>" + html.escape("\n".join(lines)) + "</pre>")
        out += [plot.svg() for plot in real_plots(results)]
    rows = alarm_rows(simulated)
    if rows:
        out.append("<h2>False alarms, simulated</h2><p>100 nodes; living members declared failed "
                   "(times any of the others was told), by the two rule sets under the same "
                   "faults.</p><table><tr><th><th>memberlist's<th>muster's")
        for name, theirs, ours in rows:
            cells = [f"{s['deaths']} ({s['notices']})" if s else "" for s in (theirs, ours)]
            out.append(f"<tr><td>{name}<td>{cells[0]}<td>{cells[1]}")
        out.append("</table>")
    if any(s.get("kind") == "detection" for s in simulated):
        out.append("<h2>Sizes, simulated</h2><p>The shipped core on virtual time, 0.1 to 0.5 ms "
                   "one way.</p>")
        out += [plot.svg() for plot in simulated_plots(simulated)]
    if any(s.get("kind") == "scale" for s in simulated):
        out.append("<h2>Sizes and faults, simulated</h2><p>From each: half / nine of ten / 99 of a "
                   "hundred / all of those who learn of it.</p>" + scale.page(simulated))
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")
