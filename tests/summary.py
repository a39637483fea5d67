"""Adds up ctest's JUnit reports: every cmocka case counts, a script counts as one test.

usage: summary.py BROKEN REPORT.xml...    BROKEN: failures outside the reports, such as builds
Prints the reason of every skip (a line "skipped: ..." of the test's output), each failed test, and "N passed, N failed, N skipped"; exits 1
when anything failed or nothing ran.
"""
import os
import re
import sys
import xml.etree.ElementTree as ElementTree


def cmocka_count(word, output):
    """The number cmocka prints; summed, for programs that run several groups."""
    return sum(map(int, re.findall(rf"^\[  {word} *\] (\d+) test\(s\)", output, re.MULTILINE)))


def count(case):
    """(passed, failed, skipped) of one ctest test."""
    output = case.findtext("system-out") or ""
    passed, failed, skipped = (cmocka_count(word, output)
                               for word in ("PASSED", "FAILED", "SKIPPED"))
    if case.find("failure") is not None or case.get("status") == "fail":
        return passed, max(failed, 1), skipped
    if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
        return 0, 0, 1
    return (passed, failed, skipped) if passed + failed + skipped > 0 else (1, 0, 0)


def explain(build, case, counts):
    output = (case.findtext("system-out") or "").strip().splitlines()
    name = f"{build}: {case.get('name')}"
    if counts[1] > 0:
        print(f"FAILED  {name}")
    if counts[2] > 0:
        reasons = [line.split(":", 1)[1].strip() for line in output if line.startswith("skipped:")]
        print(f"skipped {name}: {'; '.join(reasons) or 'no reason given'}")


def main():
    total = [0, int(sys.argv[1]), 0]
    for path in sys.argv[2:]:
        if not os.path.exists(path):
            continue
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            counts = count(case)
            explain(os.path.basename(path)[:-4], case, counts)
            total = [a + b for a, b in zip(total, counts)]
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] > 0 or total[0] == 0 else 0


sys.exit(main())
