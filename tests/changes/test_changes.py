"""What a change costs: each patch beside this file is a change as a contributor would make it, and is
applied to a copy of the tree, built and run. Fails when one does not apply, build or do what it is
for, or touches more than the line its goal allows (docs/changes.md).

Alone, one after the other, with ISOBIT_CHANGES_ALONE=1; otherwise all five in one build.
environment: SOURCE_DIR; BUILD_DIR; ISOBIT_TEST_DATA, a data directory with digits
"""
import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import changes

SOURCE = os.environ["SOURCE_DIR"]
BUILD = os.path.abspath(os.environ["BUILD_DIR"])
PATCHES = os.path.join(SOURCE, "tests", "changes")
TREE = os.path.join(BUILD, "changes", "tree")
PRODUCT = os.path.join(TREE, "build", "changes")


def run(*words, **options):
    done = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(words[:4])} ...: exit {done.returncode}\n"
                             + done.stdout[-4000:])
    return done.stdout


def listed():
    """What git has or would add, as it lies in the working tree."""
    names = run("git", "-C", SOURCE, "ls-files", "-z", "--cached", "--others",
                "--exclude-standard").split("\0")
    return {name for name in names if os.path.isfile(os.path.join(SOURCE, name))}


def copy_tree():
    """Makes TREE the working tree. A file that is the same already keeps its time, so that the
    build of the last run is still good for it."""
    wanted = listed()
    for folder, folders, names in os.walk(TREE):
        if folder == TREE and "build" in folders:
            folders.remove("build")
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, TREE) not in wanted:
                os.remove(path)
    for name in wanted:
        to, source = os.path.join(TREE, name), os.path.join(SOURCE, name)
        if not os.path.isfile(to) or not filecmp.cmp(source, to, shallow=False):
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copyfile(source, to)
            shutil.copymode(source, to)


def git_apply(change, *options):
    # The copy may lie inside a repository, whose paths are not the patch's.
    env = dict(os.environ, GIT_CEILING_DIRECTORIES=os.path.dirname(TREE))
    return run("git", "apply", *options, os.path.join(PATCHES, change.name + ".patch"), cwd=TREE,
               env=env)


def build():
    env = dict(os.environ)
    if shutil.which("ccache"):
        env.setdefault("CMAKE_C_COMPILER_LAUNCHER", "ccache")
        env.setdefault("CCACHE_BASEDIR", SOURCE)
        env.setdefault("CCACHE_NOHASHDIR", "1")
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
        compiler = re.search(r"^CMAKE_C_COMPILER:\w+=(.+)$", cache.read(), re.MULTILINE).group(1)
    run("cmake", "-S", TREE, "-B", PRODUCT, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_C_COMPILER={compiler}", "-DISOBIT_TESTS=OFF", env=env)
    run("cmake", "--build", PRODUCT, "--target", "isobit", "--parallel", str(os.cpu_count() or 1),
        env=env)
    return os.path.join(PRODUCT, "isobit")


def measure(change):
    """Prints what the patch touches, and holds it against the goal."""
    new = set(re.findall(r"^ create mode \d+ (.+)$", git_apply(change, "--summary"), re.MULTILINE))
    lines, changed, over = 0, [], []
    for row in git_apply(change, "--numstat").splitlines():
        added, removed, path = row.split("\t")
        if path in new:
            lines += int(added)
            continue
        changed.append(f"{path} +{added} -{removed}")
        if removed != "0" or int(added) > change.allowed.get(path, 0):
            over.append(path)
    print(f"{change.name}: {len(new)} new files of {lines} lines; changed: {', '.join(changed)}")
    assert not over, f"more than the goal allows: {', '.join(over)}"
    assert len(new) <= change.new_files, f"{len(new)} new files, where {change.new_files} will do"


def make(together):
    """The program with these changes."""
    copy_tree()
    for change in together:
        git_apply(change)
    started = time.monotonic()
    isobit = build()
    print(f"built with {' and '.join(change.name for change in together)} in "
          f"{time.monotonic() - started:.0f} s", flush=True)
    return isobit


def check(name, work, isobit):
    with tempfile.TemporaryDirectory(prefix="isobit-changes-") as scratch:
        print(f"{name}: {work(changes.Program(isobit, os.path.join(scratch, name)))}", flush=True)


def make_and_check(together, results):
    """The changes in one tree, and each seen to work."""
    isobit = []
    results.append(attempt("building", lambda: isobit.append(make(together))))
    if not isobit:
        return
    for change in together:
        results.append(attempt(change.name, check, change.name, change.check, isobit[0]))
    if len(together) == len(changes.CHANGES):
        results.append(attempt("PyTorch", check, "PyTorch", changes.beside_torch, isobit[0]))


def attempt(title, work, *arguments):
    """1, or after a failure, which is printed, 0."""
    try:
        work(*arguments)
        return 1
    except Exception as error:  # the next change has its say
        if not isinstance(error, AssertionError):
            traceback.print_exc(file=sys.stdout)
        print(f"FAILED {title}: {error}", flush=True)
        return 0


def main():
    if shutil.which("git") is None or not os.path.exists(os.path.join(SOURCE, ".git")):
        print("skipped: git lists the tree's files and applies the patches, and it is not here")
        return 77
    if shutil.which("ninja") is None:
        print("skipped: no ninja")
        return 77
    chosen = [c for c in changes.CHANGES if not sys.argv[1:] or c.name in sys.argv[1:]]
    results = []
    copy_tree()
    for change in chosen:
        results.append(attempt(change.name, measure, change))
        results.append(attempt(change.name, git_apply, change, "--check"))
    if os.environ.get("ISOBIT_CHANGES_ALONE") or sys.argv[1:]:
        for change in chosen:
            make_and_check([change], results)
    if len(chosen) == len(changes.CHANGES):
        make_and_check(chosen, results)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


sys.exit(main())
