"""The layering and size rules of ARCHITECTURE.md, checked over the sources.

Every folder of src/ has a rank; a file includes only its own folder and folders of lower rank,
with the narrower rules below. No files of src/ need each other in a circle: a .c file needs those
that define the functions which it names. Also: no file over 600 lines, no markers for unfinished
work.
usage: check_ranks.py [ROOT]
"""
import os
import re
import sys

RANKS = {"base": 0, "catalog": 1, "tensor": 2, "options": 2, "monitor": 2, "data": 3, "backend": 3,
         "nn": 4, "svm": 4, "model": 5, "train": 6, "record": 7, "study": 8, "mlflow": 9,
         "report": 9, "api": 10, "command": 10}
# Folders that may see only these others (their own is always allowed).
ONLY = {"report": {"base", "catalog", "options", "record", "study"}}
# Never, although the rank would allow it. What computes sees one experiment (catalog/experiment.h),
# not the options it was read from.
ENGINE = ("data", "backend", "nn", "svm", "model", "train")
NEVER = {*((folder, "options") for folder in ENGINE)}
# From these folders, the only header of backend/ that may be included: networks see its interface,
# support vector machines the host's.
BACKEND_HEADER_ONLY = {"nn": "backend/backend.h", "svm": "backend/host.h"}
# Written by CMake.
GENERATED = {"build_info.h", "report_css.h", "layer_kinds.inc", "networks.inc",
             "network_texts.inc"}
MAX_LINES = 600
SOURCE = re.compile(r"\.(c|h|cu|cuh|cl|inc|h\.in)$")
CHECKED = re.compile(r"\.(c|h|cu|cuh|cl|inc|py|sh|cmake|md|h\.in)$|^(Makefile|CMakeLists\.txt)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
NAME = re.compile(r"\bib_\w+")
DEFINITION = re.compile(
    r"^(?!static\b|typedef\b)[A-Za-z_][A-Za-z0-9_ *]*?\b(ib_\w+)\([^;{]*\)\s*\{", re.M)
# Spelled apart so that this file does not find itself.
MARKER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")


def files_below(root, pattern, skip=()):
    for directory, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in skip and not f.startswith("build"))
        for name in sorted(names):
            if pattern.search(name):
                yield os.path.join(directory, name)


def folder_rule(folder, target, header):
    """Why a file in this folder must not include that header, or None."""
    if target == folder:
        return None
    if RANKS[target] >= RANKS[folder]:
        return f"{folder}/ (rank {RANKS[folder]}) must not include {target}/ (rank {RANKS[target]})"
    if (folder, target) in NEVER:
        return f"{folder}/ must not include {target}/"
    if folder in ONLY and target not in ONLY[folder]:
        return f"{folder}/ may include only {', '.join(sorted(ONLY[folder]))}, not {target}/"
    if target == "backend" and BACKEND_HEADER_ONLY.get(folder, header) != header:
        return f"{folder}/ may include only {BACKEND_HEADER_ONLY[folder]} from backend/"
    return None


def check_include(path, header, source_root):
    """A problem with one #include "..." of one file, or None."""
    folder = os.path.relpath(path, source_root).split(os.sep)[0]
    if header.startswith("isobit/") or header in GENERATED:
        return None
    beside = os.path.join(os.path.dirname(path), header)
    if not os.path.exists(os.path.join(source_root, header)):
        if not os.path.exists(beside):
            return f'"{header}" is not below src/'
        header = os.path.relpath(os.path.normpath(beside), source_root)
    target = header.split("/")[0]
    if target not in RANKS:
        return f"{target}/ has no rank"
    return folder_rule(folder, target, header)


def check_layering(root):
    source_root = os.path.join(root, "src")
    for path in files_below(source_root, SOURCE):
        folder = os.path.relpath(path, source_root).split(os.sep)[0]
        if folder not in RANKS:
            yield path, 1, f"{folder}/ has no rank"
            continue
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                found = INCLUDE.match(line)
                problem = check_include(path, found.group(1), source_root) if found else None
                if problem:
                    yield path, number, problem


def needs_of(source_root):
    """For each .c file, those whose public functions it names, with one such name."""
    texts, owner = {}, {}
    for path in files_below(source_root, re.compile(r"\.c$")):
        with open(path, encoding="utf-8") as stream:
            texts[path] = COMMENT.sub(" ", stream.read())
        for found in DEFINITION.finditer(texts[path]):
            owner.setdefault(found.group(1), path)
    return {path: {owner[name]: name for name in sorted(set(NAME.findall(text)))
                   if owner.get(name, path) != path} for path, text in texts.items()}


def circle_from(start, needs):
    """The shortest way from a file back to itself, or None."""
    ways = [[start]]
    seen = set()
    for way in ways:
        for path in sorted(needs[way[-1]]):
            if path == start:
                return way + [start]
            if path not in seen:
                seen.add(path)
                ways.append(way + [path])
    return None


def check_circles(root):
    needs = needs_of(os.path.join(root, "src"))
    told = set()
    for path in sorted(needs):
        way = circle_from(path, needs) if path not in told else None
        if way:
            told.update(way)
            steps = [f"{os.path.basename(a)} needs {needs[a][b]} of {os.path.basename(b)}"
                     for a, b in zip(way, way[1:])]
            yield path, 1, "a circle: " + ", ".join(steps)


def check_text(root):
    for path in files_below(root, CHECKED, skip=(".git", "data", "runs", ".cache")):
        with open(path, encoding="utf-8") as stream:
            lines = stream.readlines()
        if len(lines) > MAX_LINES:
            yield path, len(lines), f"{len(lines)} lines, more than {MAX_LINES}"
        for number, line in enumerate(lines, 1):
            if MARKER.search(line):
                yield path, number, "a marker for unfinished work"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SOURCE_DIR") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..")
    root = os.path.normpath(root)
    problems = [*check_layering(root), *check_circles(root), *check_text(root)]
    for path, number, problem in problems:
        print(f"{os.path.relpath(path, root)}:{number}: {problem}")
    print(f"ranks: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
