#!/usr/bin/env python3
"""Compares what the tests did not reach with what is explained: coverage.py COUNTS UNCOVERED

COUNTS is gcovr's JSON. UNCOVERED has sections, "= a reason", each with lines "src/file.c: the text
of the line"; a text stands for each line of the file that has it, and for the lines right behind it
that did not run. Blank lines and # are skipped.
"""
import json
import sys
from pathlib import Path


def lines_of(file):
    """(number, what was not reached or None) of each line that has code."""
    for line in file["lines"]:
        branches = line.get("branches", [])
        missed = sum(branch["count"] == 0 for branch in branches)
        if line.get("gcovr/noncode"):
            continue
        if line["count"] == 0:
            yield line["line_number"], "not run"
        elif missed:
            yield line["line_number"], f"{missed} of {len(branches)} branches"
        else:
            yield line["line_number"], None


def explanations(path):
    """{(file, text): reason}, and the number of the line where each stands."""
    reasons, numbers, reason = {}, {}, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("= "):
            reason = line[2:].strip()
        elif line.strip() and not line.startswith("#"):
            file, colon, text = line.partition(": ")
            if not colon or reason is None:
                sys.exit(f"{path}:{number}: neither a reason nor a line of a file")
            reasons[file, text.strip()] = reason
            numbers[file, text.strip()] = number
    return reasons, numbers


def texts_of(file):
    path = Path(file)
    return [line.strip() for line in path.read_text().splitlines()] if path.is_file() else []


def main():
    counts, explained = map(Path, sys.argv[1:])
    reasons, numbers = explanations(explained)
    stale = [key for key in reasons if key[1] not in texts_of(key[0])]
    known, open_lines = {}, []
    for file in json.loads(counts.read_text())["files"]:
        name, reason = file["file"], None
        texts = texts_of(name)
        for number, what in lines_of(file):
            text = texts[number - 1]
            behind = reason if what == "not run" else None
            reason = reasons.get((name, text), behind) if what else None
            if what:
                line = f"  {name}:{number}: {what}: {text}"
                (known.setdefault(reason, []) if reason else open_lines).append(line)
    for reason in sorted(known):
        print(f"\nNot reached: {reason}", *known[reason], sep="\n")
    if open_lines:
        print("\nNeither reached nor explained:", *open_lines, sep="\n")
    if stale:
        print("\nExplained, but no longer there:")
        print(*(f"  {explained}:{numbers[key]}: {': '.join(key)}" for key in stale), sep="\n")
    print(f"\n{sum(map(len, known.values()))} lines not wholly reached and explained, "
          f"{len(open_lines)} not explained, {len(stale)} stale explanations")
    return 1 if open_lines or stale else 0


sys.exit(main())
