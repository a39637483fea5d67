"""Runs the test_ functions of a script, each in a fresh directory, and counts them."""
import sys
import tempfile
import traceback


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason."""


def run_tests(names):
    """names: the script's globals(). Words on the command line choose among the tests. Returns the
    exit code."""
    passed = failed = 0
    for name, test in sorted(names.items()):
        if not name.startswith("test_") or (sys.argv[1:] and name not in sys.argv[1:]):
            continue
        with tempfile.TemporaryDirectory(prefix="isobit-test-") as directory:
            try:
                test(directory)
                passed += 1
            except Skip as why:
                print(f"skipped: {name}: {why}")
            except Exception:  # one failure must not hide the next
                failed += 1
                print(f"FAILED {name}")
                traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
