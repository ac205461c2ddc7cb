"""scale.py - what `sim_gossip --scale` and `--forming` found, as tables; for tests/sim/run and
tests/bench/gossip."""
import html
import json

SHARES = ("50", "90", "99", "100")


def read(text):
    """The lines of JSON among all that was printed."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def seconds(ms):
    return "%.2f" % (ms / 1000)


def spread(tally):
    """Half, nine of ten, 99 of a hundred, all."""
    return " / ".join(seconds(tally[s]) for s in SHARES) if tally["count"] else ""


def condition_row(s):
    untold = s["crash"]["missing"] + s["event"]["missing"] + s["settled"]["missing"]
    return [str(s["nodes"]), s["condition"], spread(s["first"]), spread(s["crash"]),
            spread(s["event"]), str(untold), str(s["alarms"]), str(s["resurrections"]),
            spread(s["settled"]), "%.1f" % s["datagrams"], "%.0f" % s["bytes"], "%.1f" % s["speed"]]


def newcomer_row(s):
    return [str(s["nodes"]), seconds(s["knows"]), spread(s["told"]), "%.1f" % s["datagrams"],
            "%.0f" % s["bytes"]]


def cut_row(s):
    return [str(s["nodes"]), str(s["island"]), str(s["lost"]), spread(s["healed"])]


def forming_row(s):
    return [str(s["nodes"]), seconds(s["start"]), str(s["trials"]), seconds(s["50"]),
            seconds(s["100"]), str(s["joins_failed"]), str(s["datagrams"]), str(s["bytes"])]


def events_row(s):
    return [str(s["nodes"]), s["condition"], "%.0f" % s["loss"], str(s["events"]), spread(s["event"]),
            str(s["late"]), str(s["events_late"])]


TABLES = (
    ("scale", "Faults", condition_row,
     ["nodes", "meanwhile", "a crash, to the first, s", "to each, s", "an event, to each, s",
      "never told", "false alarms", "back from the dead", "all agree afterwards, s",
      "datagrams/s a node", "bytes/s a node", "simulated s in 1 s"]),
    ("newcomer", "One node joins", newcomer_row,
     ["nodes", "it knows all, s", "each knows it, s", "datagrams/s it sends", "bytes/s"]),
    ("forming", "All start at once", forming_row,
     ["nodes", "started within, s", "clusters", "all see all, half of the clusters, s", "the slowest, s",
      "joins that failed", "datagrams a node", "bytes a node"]),
    ("cut", "A cut of 30 s, healed", cut_row,
     ["nodes", "behind it", "seen failed by one behind it", "each sees all again, s"]),
    ("events", "Events alone", events_row,
     ["nodes", "meanwhile", "% lost", "events", "to each, s", "members that had one late",
      "events of which one had it late"]),
)


def tables(found):
    """(title, head, rows) of each kind that there is."""
    for kind, title, row, head in TABLES:
        rows = [row(s) for s in found if s.get("kind") == kind]
        if rows:
            yield title, head, rows


def markdown(found):
    out = []
    for title, head, rows in tables(found):
        out += ["## " + title, "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        out += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    return "\n".join(out)


def page(found):
    out = []
    for title, head, rows in tables(found):
        out.append("<h3>%s</h3><table><tr><th>%s" % (html.escape(title), "<th>".join(head)))
        out += ["<tr><td>" + "<td>".join(html.escape(cell) for cell in row) for row in rows]
        out.append("</table>")
    return "\n".join(out)
