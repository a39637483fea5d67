"""The checks of this folder must be able to fail: each is run on a planted violation."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ["SOURCE_DIR"]
COMPILER = shutil.which("gcc") or shutil.which("cc")

INCLUDES = [  # (file below src/, a line to add, part of the message)
    ("base/status.c", '#include "tensor/tensor.h"', "base/ (rank 0) must not include tensor/"),
    ("tensor/tensor.c", '#include "options/config.h"', "must not include options/"),
    ("data/idx.c", '#include "backend/backend.h"', "must not include backend/"),
    ("nn/planted.c", '#include "backend/cpu/isa.h"', "may include only backend/backend.h"),
    ("svm/planted.c", '#include "backend/backend.h"', "may include only backend/host.h"),
    ("nn/planted.c", '#include "model/model.h"', "must not include model/"),
    ("train/planted.c", '#include "record/record.h"', "must not include record/"),
    ("train/planted.c", '#include "options/config.h"', "train/ must not include options/"),
    ("report/planted.c", '#include "model/model.h"', "report/ may include only"),
    ("record/planted.c", '#include "../study/study.h"', "must not include study/"),
    ("base/status.c", '#include "nowhere.h"', "is not below src/"),
    ("plugins/planted.c", "int planted;", "plugins/ has no rank"),
    ("base/status.c", "/* TO" "DO */", "unfinished work"),
    ("base/status.c", "\n" * 600, "more than 600"),
]
NAMED = [  # (words put into README.md, the message)
    ("[a](docs/gone.md)", "the link docs/gone.md leads nowhere"),
    ("`command/gone.c`", "command/gone.c is not there"),
    ("`src/base/{file,gone}.c`", "src/base/{file,gone}.c is not there"),
    ("`gone.c`", "gone.c is not there"),
    ("```sh\nscripts/gone.sh\n```", "scripts/gone.sh is not there"),
    ("`--gone`", "no command has --gone"),
]
GLOBALS = ["int counter;", "static int hidden = 3; int *f(void); int *f(void) { return &hidden; }",
           "_Thread_local int each;",
           "int *f(void); int *f(void) { static int calls; ++calls; return &calls; }",
           "const char *text = \"changeable pointer\";"]
CONSTANTS = ("const int table[2] = {1, 2}; const char *const names[] = {\"a\", \"b\"};"
             "int f(int i); int f(int i) { return names[i][0] + table[i]; }")
CALLS = ["#include <stdlib.h>\nvoid f(void); void f(void) { exit(1); }",
         "#include <stdlib.h>\nvoid f(void); void f(void) { abort(); }",
         "#include <stdio.h>\nvoid f(int i); void f(int i) { printf(\"%d\", i); }",
         "#include <stdio.h>\nvoid f(void); void f(void) { fprintf(stdout, \"a\"); }"]
KERNEL_CALLS = ["#include <math.h>\nfloat f(float x); float f(float x) { return expf(x); }",
                "#include <math.h>\nfloat f(float x); float f(float x) { return fmaf(x, x, x); }",
                "#include <math.h>\nfloat f(float x); float f(float x) { return sqrtf(x); }"]
failures = []


def expect(condition, what, output=""):
    print(("ok: " if condition else "FAILED: ") + what)
    if not condition:
        failures.append(what)
        print(output)


def run(command, **environment):
    done = subprocess.run(command, env=dict(os.environ, **environment), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def ranks_of(root):
    return run([sys.executable, os.path.join(HERE, "check_ranks.py"), root])


def check_ranks(directory):
    clean = os.path.join(directory, "clean")
    shutil.copytree(os.path.join(ROOT, "src"), os.path.join(clean, "src"))
    for number, (name, line, message) in enumerate(INCLUDES):
        root = os.path.join(directory, str(number))
        shutil.copytree(clean, root)
        path = os.path.join(root, "src", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for header in ("backend/cpu/isa.h", "record/record.h", "train/trainer.h"):
            os.makedirs(os.path.dirname(os.path.join(root, "src", header)), exist_ok=True)
            open(os.path.join(root, "src", header), "a", encoding="utf-8").close()
        with open(path, "a", encoding="utf-8") as stream:
            stream.write("\n" + line + "\n")
        code, output = ranks_of(root)
        expect(code == 1 and message in output, f"planted in {name}: {message}", output)
        shutil.rmtree(root)


def check_documents(directory):
    script = os.path.join(HERE, "check_documents.py")
    clean = os.path.join(directory, "clean")
    shutil.copytree(ROOT, clean,
                    ignore=lambda folder, names: [".git", "build", "runs", "data", "mlflow"]
                    if folder == ROOT else [])
    readme = os.path.join(clean, "README.md")
    with open(readme, encoding="utf-8") as stream:
        good = stream.read()
    code, output = run([sys.executable, script, clean])
    expect(code == 0, "the documents as they are", output)
    for words, message in NAMED:
        with open(readme, "w", encoding="utf-8") as stream:
            stream.write(f"{good}\n{words}\n")
        code, output = run([sys.executable, script, clean])
        expect(code == 1 and message in output, f"planted in README.md: {words!r}", output)
    for folder, _, names in os.walk(clean):
        for path in (os.path.join(folder, name) for name in names if name.endswith(".md")):
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text.replace("--data-memory", ""))
    code, output = run([sys.executable, script, clean])
    expect(code == 1 and "no document says what --data-memory is" in output,
           "an option that no document has", output)


def archive(directory, name, source, flags=()):
    """Compiles one source into BUILD/name and a library of its own beside it."""
    path = os.path.join(directory, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".c", "w", encoding="utf-8") as stream:
        stream.write(source)
    subprocess.run([COMPILER, "-O1", "-fPIE", *flags, "-c", path + ".c", "-o", path + ".o"],
                   check=True)
    if os.path.exists(path + ".a"):
        os.remove(path + ".a")
    subprocess.run(["ar", "rc", path + ".a", path + ".o"], check=True)
    return path + ".a"


def check_globals(directory):
    script = ["sh", os.path.join(HERE, "check_globals.sh")]
    for source in GLOBALS:
        code, output = run(script, LIBRARY=archive(directory, "planted", source))
        expect(code == 1, f"planted variable: {source}", output)
    code, output = run(script, LIBRARY=archive(directory, "planted", CONSTANTS))
    expect(code == 0, "constant tables are allowed", output)


def check_symbols(directory):
    script = ["sh", os.path.join(HERE, "check_symbols.sh")]
    plain = "int f(int i); int f(int i) { return i + 1; }"
    fused = "float f(float a, float b); float f(float a, float b) { return __builtin_fmaf(a, b, a); }"
    x86 = os.uname().machine == "x86_64"
    flags = ["-mfma"] if x86 else []
    archive(directory, "good/kernels_ref.dir/k", fused, flags)
    good = archive(directory, "good/library", plain)
    code, output = run(script, LIBRARY=good, BUILD_DIR=os.path.join(directory, "good"))
    expect(code == 0, "clean objects pass", output)
    for source in CALLS:
        code, output = run(script, LIBRARY=archive(directory, "planted", source),
                           BUILD_DIR=os.path.join(directory, "good"))
        expect(code == 1, f"planted call: {source!r}", output)
    for source in KERNEL_CALLS:
        archive(directory, "bad/kernels_avx2.dir/k", source, ["-fmath-errno"])
        code, output = run(script, LIBRARY=good, BUILD_DIR=os.path.join(directory, "bad"))
        expect(code == 1 and "kernels must not call" in output or not x86,
               f"planted libm call: {source!r}", output)
    archive(directory, "plain/kernels_avx2.dir/k", plain)
    code, output = run(script, LIBRARY=good, BUILD_DIR=os.path.join(directory, "plain"))
    expect(code == 1 and "no FMA" in output, "vector kernels without FMA", output)
    if x86:
        archive(directory, "soft/kernels_ref_soft.dir/k", fused, flags)
        code, output = run(script, LIBRARY=good, BUILD_DIR=os.path.join(directory, "soft"))
        expect(code == 1 and "ref_soft" in output, "FMA in the software reference", output)
    code, output = run(script, LIBRARY=good, BUILD_DIR=os.path.join(directory, "nothing-here"))
    expect(code == 1, "no kernel objects at all", output)


def main():
    for check in (check_ranks, check_documents, check_globals, check_symbols):
        with tempfile.TemporaryDirectory() as directory:
            check(directory)
    print(f"{len(failures)} checks did not notice what was planted")
    return 1 if failures else 0


sys.exit(main())
