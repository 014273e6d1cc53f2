#!/usr/bin/env python3
"""What programs of the bench said, one line of JSON a row, as a table.

    table.py gather LINES SECONDS [FAILED...]   machine, commit, rows: JSON
    table.py show FILE                          that JSON for a terminal
    table.py results FILE WHERE                 as RESULTS.md

Files of the folder WHERE have sections "## ROW", in which somebody says where
the rest of that row's cost is.  What stands before the first is not shown."""
import datetime
import json
import os
import pathlib
import subprocess
import sys

WIDTH = 44  # of what is measured, on a terminal


def said(*command):
    """What a command prints; empty if it is not here."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def line_of(path, start):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(start):
                return line.split(":", 1)[1].strip()
    return ""


def machine():
    kb = int(line_of("/proc/meminfo", "MemTotal").split()[0])
    folder = os.environ.get("TMPDIR", "/tmp")
    df = said("df", "--output=fstype", folder).splitlines()
    return {
        "cpu": line_of("/proc/cpuinfo", "model name") or os.uname().machine,
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": round(kb / 1024),
        "kernel": os.uname().release,
        "openssl": said("openssl", "version").split(" (")[0],
        "file_system": df[-1] if df else "",
    }


def commit():
    name = said("git", "rev-parse", "--short=12", "HEAD")
    changed = said("git", "status", "--porcelain", "--untracked-files=no")
    return (name or "unknown") + ("+" if changed else "")


def gather(lines, seconds, failed):
    now = datetime.datetime.now(datetime.timezone.utc)
    with open(lines, encoding="utf-8") as text:
        rows = [json.loads(line) for line in text]
    return {
        "machine": machine(),
        "commit": commit(),
        "when": now.strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": int(seconds),
        "failed": failed,
        "rows": rows,
    }


def number(v):
    """Three digits that count; none is dropped before the point."""
    if v is None:
        return ""
    for least, digits in ((100, 0), (10, 1), (1, 2)):
        if round(v, digits + 1) >= least:
            return f"{v:.{digits}f}"
    return f"{v:.3g}"


def spread(row):
    if row["low"] == row["high"]:
        return ""
    return f"{number(row['low'])}..{number(row['high'])}"


def with_unit(v, row):
    return f"{number(v)} {row['unit']}" if v is not None else ""


def ratio(row):
    return number(row["ratio"]) if row["against"] is not None else ""


def target(row):
    sign = "<=" if row["at_most"] else ">="
    unit = "" if row["against"] is not None else " " + row["unit"]
    return f"{sign} {row['target']:g}{unit}"


def met(row):
    return "met" if row["met"] else "short"


def peak(row):
    kb = row["peak_kb"]
    return f"{number(kb / 1024)} MB" if kb is not None else ""


COLUMNS = {
    "row": lambda r: r["name"],
    "what": lambda r: r["what"],
    "value": lambda r: with_unit(r["value"], r),
    "ceiling": lambda r: with_unit(r["ceiling"], r),
    "ratio": ratio,
    "spread": spread,
    "target": target,
    "": met,
    "cpu us": lambda r: number(r["cpu_us"]),
    "ceiling's": lambda r: number(r["ceiling_cpu_us"]),
    "peak": peak,
}
OF_FIGURES = [c for c in COLUMNS if c not in ("target", "")]


def filled(rows, columns):
    """Those of the columns that have something to tell of these rows."""
    return [c for c in columns if any(COLUMNS[c](row) for row in rows)]


def cells(rows, columns):
    return [[COLUMNS[c](row) for c in columns] for row in rows]


def plain(rows, columns):
    table = [list(columns)] + cells(rows, columns)
    for line in table:
        what = line[1]
        line[1] = what if len(what) <= WIDTH else what[:WIDTH - 3] + "..."
    widths = [max(map(len, column)) for column in zip(*table)]
    return ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip()
            for line in table]


def markdown(rows, columns):
    table = [columns, ["---"] * len(columns)] + cells(rows, columns)
    return ["| " + " | ".join(c.replace("|", "\\|") for c in line) + " |"
            for line in table]


def split(rows):
    """Rows with a target, and figures, in their order."""
    return ([r for r in rows if r["target"] is not None],
            [r for r in rows if r["target"] is None])


def counted(bench):
    targets, figures = split(bench["rows"])
    short = sum(not r["met"] for r in targets)
    minutes, seconds = divmod(bench["seconds"], 60)
    return (f"{len(targets) - short} met, {short} short, "
            f"{len(figures)} figures; took {minutes} min {seconds} s")


def tables(bench, draw):
    targets, figures = split(bench["rows"])
    lines = draw(targets, filled(targets, COLUMNS)) if targets else []
    if targets and figures:
        lines.append("")
    return lines + (draw(figures, filled(figures, OF_FIGURES))
                    if figures else [])


def show(bench):
    lines = tables(bench, plain) + ["", counted(bench)]
    return lines + [f"failed: {name}" for name in bench["failed"]]


def texts(folder):
    """Row to text, of all files of the folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("*.md")):
        row = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("## "):
                row = line[3:].strip()
                if row in found:
                    sys.exit(f"{path}: {row} has a text already")
                found[row] = []
            elif row is not None:
                found[row].append(line)
    return {row: "\n".join(t).strip() for row, t in found.items()}


def sentence(row):
    out = f"{row['what']}: {with_unit(row['value'], row)}"
    if row["against"] is not None:
        out += (f" against {with_unit(row['ceiling'], row)} of "
                f"{row['against']}, ratio {ratio(row)}")
    out += f" ({spread(row)} in {len(row['rounds'])} rounds)" if spread(row) else ""
    if row["target"] is not None:
        out += f"; target {target(row)}: {met(row)}"
    return out + "."


def about(rows, text):
    for row in rows:
        if row["target"] is not None or text.get(row["name"]):
            yield f"\n## {row['name']}\n\n{sentence(row)}"
            if text.get(row["name"]):
                yield "\n" + text[row["name"]]


def loose_ends(rows, text):
    names = [r["name"] for r in rows]
    bare = [r["name"] for r in split(rows)[0] if not text.get(r["name"])]
    for what, loose in (("Rows without a text", bare),
                        ("Texts without a row", sorted(set(text) - set(names)))):
        if loose:
            yield f"\n{what}: {', '.join(loose)}."


def results(bench, text):
    m = bench["machine"]
    yield "# Results\n\nWritten by `tests/bench/run --results`.\n"
    yield (f"{bench['when']}, commit {bench['commit']}. {m['cpu']}, "
           f"{m['cores']} cores, {m['memory_mb']} MB; Linux {m['kernel']}; "
           f"{m['openssl']}; stores on {m['file_system']}.\n")
    yield ("A ratio is the median of the rounds' ratios of value to ceiling; "
           "the spread is the least and\nthe greatest of them. Without a "
           "ceiling they are of the value. Processor time is of one\n"
           "operation, on our side and on the ceiling's.\n")
    yield "\n".join(tables(bench, markdown))
    yield "\n" + counted(bench) + "."
    yield from about(bench["rows"], text)
    yield from loose_ends(bench["rows"], text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main(args):
    if len(args) >= 3 and args[0] == "gather":
        print(json.dumps(gather(args[1], args[2], args[3:]), indent=1))
    elif len(args) == 2 and args[0] == "show":
        print("\n".join(show(read(args[1]))))
    elif len(args) == 3 and args[0] == "results":
        print("\n".join(results(read(args[1]), texts(args[2]))))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
