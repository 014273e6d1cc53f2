"""coverage.py BUILD LEAST FOLDER|PATTERN...

Lines of each folder's sources, or of those that a pattern fits, that were run,
as gcov tells it in JSON; a line counts once, whatever the number of programs it
is compiled into.  Ends 1 when one of them has less than LEAST percent, or
nothing at all was counted."""
import fnmatch
import json
import os
import subprocess
import sys

build, least, folders = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
top = os.getcwd()


def notes():
    for where, _, names in os.walk(build):
        for name in names:
            if name.endswith(".gcno"):
                yield os.path.abspath(os.path.join(where, name))


def told(path):
    """gcov's words on one object; without its counts all lines are 0."""
    said = subprocess.run(["gcov", "--json-format", "--stdout", path],
                          cwd=build, capture_output=True, check=True).stdout
    for line in said.splitlines():
        yield from json.loads(line)["files"]


def source_of(name):
    path = os.path.normpath(os.path.join(top, build, name))
    return os.path.relpath(path, top)


def belongs(source, folder):
    return source.startswith(folder + "/") or fnmatch.fnmatch(source, folder)


runs = {}
for path in notes():
    for file in told(path):
        source = source_of(file["file"])
        if not source.endswith(".c"):
            continue
        if not any(belongs(source, f) for f in folders):
            continue
        lines = runs.setdefault(source, {})
        for line in file["lines"]:
            n = line["line_number"]
            lines[n] = lines.get(n, 0) + line["count"]


def row(name, lines):
    ran = sum(count > 0 for count in lines)
    part = 100 * ran / len(lines) if lines else 0.0
    print(f"{name:36} {ran:6} of {len(lines):6} {part:6.1f} %")
    return part


failed = False
for folder in folders:
    all_lines = []
    for source in sorted(runs):
        if belongs(source, folder):
            row("  " + source, runs[source].values())
            all_lines += runs[source].values()
    if row(folder, all_lines) < least:
        print(f"{folder}: less than {least:g} %")
        failed = True
sys.exit(failed)
