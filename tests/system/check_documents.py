"""What the documents name is there: every path, link and option; and every option is in one of them.

A path is a link, or a word between backticks or in a block of code that begins with a folder of the
tree or of src/, or is the name of a source file. `x` stands for any name, and so do * and {a,b}.
environment: ISOBIT, the program (without it options are not checked)
usage: check_documents.py [ROOT]
"""
import glob
import os
import re
import subprocess
import sys

LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[\w-]+)?\)")
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
QUOTED = re.compile(r"`([^`\n]+)`")
WORD = re.compile(r"[\w.*{},/<>-]+")
OPTION = re.compile(r"(?<![\w-])--([A-Za-z]\w*(?:-\w+)*)(?![\w-])")
SOURCE = re.compile(r"^[\w*{},-]+\.(c|h|py|sh|inc|cmake|patch|yaml|map|md|txt)$")
# Folders that commands write to, and files of records and installations.
MADE = {"runs", "build", "mlflow", "checkpoints", "tables", "figures"}
MADE_FILES = {"report.md", "conf.yaml", "small.yaml", "mine.yaml", "FILE.yaml"}
# Options of other programs, in the commands of documents.
FOREIGN = {"version", "test-dir", "output-on-failure", "target", "verbose", "cflags", "libs", "static",
           "env-manager", "artifacts-destination", "batch-sizes", "optimizers", "peer"}


def documents(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.md"], stdout=subprocess.PIPE,
                            text=True, check=False)
    names = listed.stdout.split() or [os.path.relpath(path, root) for path in
                                      glob.glob(os.path.join(root, "**", "*.md"), recursive=True)]
    # Reports are written by the program.
    return [name for name in names if not name.startswith("docs/results/studies/")]


def alternatives(word):
    """The patterns of `a{b,c}`."""
    found = re.search(r"\{([^{}]*)\}", word)
    if not found:
        return [word]
    return [pattern for part in found.group(1).split(",")
            for pattern in alternatives(word[:found.start()] + part + word[found.end():])]


class Tree:
    def __init__(self, root):
        self.root = root
        self.folders = [name for name in os.listdir(root)
                        if os.path.isdir(os.path.join(root, name)) and name not in MADE]
        self.sources = os.listdir(os.path.join(root, "src"))
        self.names = {name for folder, folders, names in os.walk(root) for name in names
                      if os.path.relpath(folder, root).split(os.sep)[0] not in MADE | {".git"}}

    def is_there(self, word):
        """Whether the word is a path that exists; None where it is none."""
        word = re.sub(r"(?<![A-Za-z0-9])[xX](?=\.)|<[\w-]+>", "*", word.rstrip("/.,"))
        first = word.split("/")[0]
        if "/" not in word:
            if not SOURCE.match(word) or word in MADE_FILES:
                return None
            return any(name in self.names or "*" in name for name in alternatives(word))
        if first in MADE or first not in {*self.folders, *self.sources, "ref", "kernels"}:
            return None
        places = ["", "src", "src/backend/cpu"]
        return all(any(glob.glob(os.path.join(self.root, place, pattern)) for place in places)
                   for pattern in alternatives(word))


def missing_paths(tree, name, text):
    for link in LINK.findall(text):
        if not os.path.exists(os.path.join(tree.root, os.path.dirname(name), link)):
            yield f"{name}: the link {link} leads nowhere"
    for code in FENCED.findall(text) + QUOTED.findall(FENCED.sub("", text)):
        for word in WORD.findall(code):
            if tree.is_there(word) is False:
                yield f"{name}: {word} is not there"


def options_of(program):
    """The options of every command, and their aliases."""
    names = {"help"}
    manual = subprocess.run([program, "manual"], stdout=subprocess.PIPE, text=True, check=True)
    for line in manual.stdout.replace("\\-", "-").splitlines():
        names |= set(OPTION.findall(line))
    return names


def option_problems(program, texts):
    there = options_of(program)
    named = {option: name for name, text in texts.items() for option in OPTION.findall(text)}
    for option in sorted(there - set(named)):
        yield f"no document says what --{option} is"
    for option in sorted(set(named) - there - FOREIGN):
        yield f"{named[option]}: no command has --{option}"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SOURCE_DIR") or os.path.join(
        os.path.dirname(os.path.abspath(__file__)), "..", "..")
    tree = Tree(os.path.normpath(root))
    texts = {}
    for name in documents(tree.root):
        with open(os.path.join(tree.root, name), encoding="utf-8") as stream:
            texts[name] = stream.read()
    problems = [problem for name, text in texts.items()
                for problem in missing_paths(tree, name, text)]
    if os.environ.get("ISOBIT"):
        problems += option_problems(os.environ["ISOBIT"], texts)
    print("\n".join(problems + [f"documents: {len(texts)} read, {len(problems)} problems"]))
    return 1 if problems or not texts else 0


if __name__ == "__main__":
    sys.exit(main())
