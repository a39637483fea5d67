"""What users run is built so that faults of memory are harder to use: readelf tells of the program and
of the shared library.

environment: BUILD_DIR; ISOBIT_HARDENED, whether this build is meant to be (ISOBIT_HARDEN)
"""
import glob
import os
import platform
import re
import subprocess
import sys

from runner import Skip, run_tests

BUILD = os.environ["BUILD_DIR"]
FILES = [os.path.join(BUILD, "isobit"), os.path.join(BUILD, "libisobit.so")]


def readelf(path, *words):
    return subprocess.run(["readelf", "-W", *words, path], check=True, capture_output=True,
                          text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def segments(path):
    """(type, flags) of each."""
    row = re.compile(r"^  ([A-Z_]\w+)(?:\s+0x[0-9a-f]+){5}\s+([R ][W ][E ])\s", re.M)
    return [(kind, flags.replace(" ", "")) for kind, flags in row.findall(readelf(path, "-l"))]


def called(path):
    """Names that it takes from other libraries."""
    return set(re.findall(r"\sUND (\w+)", readelf(path, "--dyn-syms")))


def features(path):
    found = re.search(r"x86 feature: ([A-Z, ]+)", readelf(path, "-n"))
    return set(found.group(1).split(", ")) if found else set()


def faults(path):
    """What is missing, as a list of texts."""
    kinds, dynamic, names = segments(path), readelf(path, "-d"), called(path)
    checks = {
        "relocations stay writable (no GNU_RELRO)": any(k == "GNU_RELRO" for k, _ in kinds),
        "names are bound late (no BIND_NOW)": bool(re.search(r"\bBIND_NOW\b|Flags:.*\bNOW\b", dynamic)),
        "its place is fixed (no PIE)": "Type:                              DYN" in readelf(path, "-h"),
        "a segment is writable and executable": not any("W" in f and "E" in f for _, f in kinds),
        "the stack is executable": [f for k, f in kinds if k == "GNU_STACK"] == ["RW"],
        "no stack protector": "__stack_chk_fail" in names,
        "no FORTIFY": any(re.fullmatch(r"__\w+_chk", n) for n in names - {"__stack_chk_fail"}),
    }
    assert kinds and names, f"readelf -l says nothing that is understood of {path}"
    return [what for what, good in checks.items() if not good]


def must_be_hardened():
    if os.environ.get("ISOBIT_HARDENED", "ON") != "ON":
        raise Skip("a build with sanitizers or for a debugger is not hardened")


def test_program_and_library(directory):
    must_be_hardened()
    for path in FILES:
        assert not faults(path), f"{path}: {faults(path)}"


def test_control_flow_is_protected(directory):
    must_be_hardened()
    if platform.machine() != "x86_64":
        raise Skip(f"{platform.machine()} has no IBT and SHSTK")
    objects = [path for part in ("isobit_engine", "isobit_extras", "isobit_command", "kernels_*")
               for path in glob.glob(os.path.join(BUILD, "CMakeFiles", f"{part}.dir", "**", "*.o"),
                                     recursive=True)]
    assert len(objects) > 100, objects
    bare = [path for path in objects if not {"IBT", "SHSTK"} <= features(path)]
    assert not bare, f"without the mark of IBT and SHSTK, so that the linker gives none: {bare}"
    # The linker marks what all objects have, those with which the C library starts a program too.
    start = subprocess.run(["cc", "-print-file-name=Scrt1.o"], check=True, capture_output=True,
                           text=True).stdout.strip()
    if not {"IBT", "SHSTK"} <= features(start):
        raise Skip(f"{start} is not made for IBT and SHSTK, so that no program here can be marked; "
                   f"all {len(objects)} objects of isobit are")
    for path in FILES:
        assert {"IBT", "SHSTK"} <= features(path), path


def test_faults_are_seen(directory):
    source, path = os.path.join(directory, "bare.c"), os.path.join(directory, "bare")
    with open(source, "w", encoding="ascii") as stream:
        stream.write("#include <stdio.h>\nint main(int count, char **words) {\n"
                     "char text[9]; return sprintf(text, \"%d%s\", count, words[0]); }\n")
    soft = ["-O2", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-no-pie", "-Wl,-z,norelro",
            "-Wl,-z,lazy", "-Wl,-z,execstack"]
    subprocess.run(["cc", *soft, source, "-o", path], check=True)
    assert len(faults(path)) >= 6, faults(path)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
