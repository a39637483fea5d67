"""Every command of the guide's pages on what is one's own (docs/own-*.md) works as it stands there: the
blocks of each page are one script, in an empty folder.

environment: ISOBIT, SOURCE_DIR
"""
import glob
import os
import re
import subprocess
import sys

from runner import run_tests

ISOBIT = os.path.abspath(os.environ["ISOBIT"])
PAGES = sorted(glob.glob(os.path.join(os.environ["SOURCE_DIR"], "docs", "own-*.md")))
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


def commands_of(page):
    with open(page, encoding="utf-8") as stream:
        return COMMANDS.findall(stream.read())


def page_test(page):
    def test(directory):
        blocks = commands_of(page)
        assert blocks, "no commands"
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("ISOBIT", "MLFLOW"))}
        environment["PATH"] = os.path.dirname(ISOBIT) + os.pathsep + environment["PATH"]
        done = subprocess.run(["sh", "-ex"], input="".join(blocks), cwd=directory, env=environment,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=600)
        assert done.returncode == 0, done.stdout[-3000:]
        print(f"{os.path.basename(page)}: {len(blocks)} blocks, "
              f"{sum(line.startswith('+ isobit') for line in done.stdout.splitlines())} commands")
    return test


if __name__ == "__main__":
    tests = {"test_" + os.path.basename(page)[:-3].replace("-", "_"): page_test(page)
             for page in PAGES}
    assert tests, "no pages"
    sys.exit(run_tests(tests))
