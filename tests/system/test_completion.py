"""What is generated from the tables for other programs: completion of shells, the manual page.

environment: ISOBIT, the program
"""
import os
import shutil
import subprocess
import sys

from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]


def printed(*words):
    return subprocess.run([ISOBIT, *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def written_for(shell):
    script = printed("completion", shell)
    assert "train" in script and "batch-size" in script
    return script


def installed(shell, directory, name):
    """The script as a file of the directory, where there is such a shell."""
    script = written_for(shell)
    if shutil.which(shell) is None:
        raise Skip(f"there is no {shell}")
    with open(os.path.join(directory, name), "w", encoding="ascii") as stream:
        stream.write(script)


def test_manual(directory):
    manual = printed("manual")
    assert manual.startswith(".TH ISOBIT 1") and "soak" not in manual


def test_bash_completion(directory):
    script = written_for("bash")
    ask = script + ("\nCOMP_WORDS=(isobit train --optimizer ad); COMP_CWORD=3; _isobit; "
                    "echo ${COMPREPLY[*]}\nCOMP_WORDS=(isobit data pre); COMP_CWORD=2; _isobit; "
                    "echo ${COMPREPLY[*]}\nCOMP_WORDS=(isobit hash ''); COMP_CWORD=2; _isobit; "
                    "echo ${COMPREPLY[*]}\n")
    done = subprocess.run(["bash", "-c", ask], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines() == ["adadelta adam adamw", "prepare", "update verify"], done.stdout


def test_zsh_completion(directory):
    """The first completion loads the file and completes, not only the second."""
    installed("zsh", directory, "_isobit")
    ask = ("fpath=($PWD $fpath); compdef() { }; compadd() { print -- $* }; "
           "words=(isobit train --optimizer ad); CURRENT=4; autoload -Uz _isobit; _isobit")
    done = subprocess.run(["zsh", "-f", "-c", ask], cwd=directory, stdout=subprocess.PIPE,
                          text=True)
    assert "adadelta" in done.stdout, done


def test_fish_completion(directory):
    """Verbs once, files only where an operand belongs."""
    installed("fish", directory, "isobit.fish")
    for line, words in (("isobit hash ", ["update", "verify"]), ("isobit data prepare ", []),
                        ("isobit hash update ", ["data", "model", "result"]),
                        ("isobit hash verify model ", ["isobit.fish"]),
                        ("isobit sweep iso", ["isobit.fish"])):
        done = subprocess.run(["fish", "--no-config", "-c", f"source isobit.fish; complete -C '{line}'"],
                              cwd=directory, stdout=subprocess.PIPE, text=True, check=True,
                              env={**os.environ, "HOME": directory})
        found = [word.split("\t")[0] for word in done.stdout.splitlines()]
        assert [word for word in found if not word.endswith("/")] == words, (line, found)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
