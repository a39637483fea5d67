"""The library as it is installed: which names it has, and that programs built against it by pkg-config
or CMake, shared and static, give the hashes of the command.

environment: ISOBIT, the program; BUILD_DIR, SOURCE_DIR; ISOBIT_TEST_DATA, where digits is
"""
import json
import os
import re
import shutil
import subprocess
import sys

from runner import Skip, run_tests

ISOBIT = os.environ["ISOBIT"]
BUILD = os.environ["BUILD_DIR"]
SOURCE = os.environ["SOURCE_DIR"]
DATA = os.environ["ISOBIT_TEST_DATA"]
EXAMPLE = os.path.join(SOURCE, "examples", "mnist-cnn.c")
OPTIONS = {"epochs": "1", "train-size": "640", "test-size": "300", "seed": "3"}
CC = os.environ.get("CC", "cc")

# Classes of the first 300 test images by a model's file, one a line, by the predictor.
PREDICT = r"""
#include <stdio.h>
#include <isobit/isobit.h>
int main(int argc, char **argv) {
    ib_predictor *predictor;
    ib_data *data;
    char why[256];
    if (argc < 3 || ib_predictor_open(argv[1], NULL, &predictor, why, sizeof why) != IB_OK ||
        ib_data_open(argv[2], "digits", &data, why, sizeof why) != IB_OK)
        return puts(why), 1;
    size_t correct = 0, first = ib_data_train_count(data);
    for (size_t i = 0; i < 300; ++i) {
        uint16_t found;
        if (ib_predictor_predict(predictor, ib_data_pixels(data, first + i), 1, &found, NULL))
            return puts(ib_predictor_error(predictor)), 1;
        correct += found == ib_data_label(data, first + i);
    }
    printf("%zu\n", correct);
    ib_data_close(data);
    ib_predictor_close(predictor);
    return 0;
}
"""


def run(words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}"
    return done.stdout


def sanitized():
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
        return re.search(r"^ISOBIT_SANITIZE:\w+=.+$", cache.read(), re.M) is not None


def install(directory):
    """Installs below the directory, through DESTDIR as packagers do; the prefix and the environment
    of programs built against it."""
    if sanitized():
        raise Skip("a sanitized library wants programs that are sanitized")
    run(["cmake", "--build", BUILD, "--target", "isobit_all"])
    environment = dict(os.environ, DESTDIR=directory)
    run(["cmake", "--install", BUILD, "--prefix", "/opt/isobit"], env=environment)
    prefix = os.path.join(directory, "opt", "isobit")
    library = os.path.dirname(os.path.dirname(find(prefix, "isobit.pc")))
    return prefix, dict(os.environ, PKG_CONFIG_PATH=os.path.join(library, "pkgconfig"),
                        LD_LIBRARY_PATH=library)


def find(root, name):
    for directory, _, names in os.walk(root):
        if name in names:
            return os.path.join(directory, name)
    raise AssertionError(f"{name} was not installed")


def flags(environment, *words):
    return run(["pkg-config", *words, "isobit"], env=environment).split()


def trained(directory):
    """The result of the command's run with the options of the example, and its directory."""
    words = [f"--{name}={value}" for name, value in OPTIONS.items()]
    out = run([ISOBIT, "train", "--dataset", "digits", "--data-dir", DATA, "--json", "--runs-dir",
               os.path.join(directory, "runs"), *words])
    return json.loads(out[out.index("{"):])


def hash_of(program, directory, environment):
    options = [f"{name}={value}" for name, value in OPTIONS.items()]
    out = run([program, DATA, "digits", *options], cwd=directory, env=environment)
    return re.search(r"model_sha256 (\w+)", out).group(1)


def test_names(directory):
    """Exported are the names of the map, and those are what the headers declare."""
    prefix, _ = install(directory)
    with open(os.path.join(SOURCE, "src", "api", "isobit.map"), encoding="ascii") as stream:
        mapped = sorted(re.findall(r"\b(ib_\w+);", stream.read()))
    shared = run(["nm", "-D", "--defined-only", find(prefix, "libisobit.so")])
    exported = sorted(re.findall(r" [A-TV-Z] (ib_\w+|\w+)@@", shared))
    assert exported == mapped, set(exported) ^ set(mapped)
    static = run(["nm", "-g", "--defined-only", find(prefix, "libisobit.a")])
    assert sorted(re.findall(r" [A-Z] (\w+)$", static, re.M)) == mapped, static
    declared = set()
    for name in os.listdir(os.path.join(SOURCE, "include", "isobit")):
        with open(os.path.join(SOURCE, "include", "isobit", name), encoding="ascii") as stream:
            text = re.sub(r"/\*.*?\*/", "", stream.read(), flags=re.S)
        declared |= set(re.findall(r"^(?!typedef)[a-z][\w *]*?\b(ib_\w+)\([^;{]*\);", text, re.M))
    assert sorted(declared) == mapped, declared ^ set(mapped)


def test_needs(directory):
    """It prints nothing, ends nothing, reads no environment, and needs no more than it says."""
    prefix, _ = install(directory)
    wanted = run(["nm", "-u", find(prefix, "libisobit.a")])
    bad = re.findall(r" U (exit|_exit|abort|getenv|secure_getenv|environ|stdout|stderr|printf|puts|"
                     r"putchar|perror|signal|sigaction|curl_\w+|yaml_\w+|gz\w+|inflate\w*|"
                     r"__printf_chk)$", wanted, re.M)
    assert not bad, bad
    needed = run(["objdump", "-p", find(prefix, "libisobit.so")])
    assert "SONAME               libisobit.so.0.1\n" in needed, needed
    assert set(re.findall(r"NEEDED +(\w+)", needed)) <= {"libm", "libjansson", "libc", "ld"}, needed


def test_installed(directory):
    prefix, _ = install(directory)
    for name in ("isobit", "train.h", "isobit.1", "_isobit", "isobit.fish", "prices.yaml", "LICENSE",
                 "isobitConfig.cmake"):
        assert os.path.getsize(find(prefix, name)) > 0, name
    with open(os.path.join(prefix, "share", "man", "man1", "isobit.1"), encoding="ascii") as stream:
        assert ".TH" in stream.read()


def test_example_has_the_hash_of_the_command(directory):
    _, environment = install(directory)
    with open(EXAMPLE, encoding="ascii") as stream:
        assert len(stream.readlines()) <= 80
    wanted = trained(directory)["model_sha256"]
    warnings = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    shared = os.path.join(directory, "shared")
    run([CC, *warnings, EXAMPLE, *flags(environment, "--cflags", "--libs"), "-o", shared],
        env=environment)
    assert hash_of(shared, directory, environment) == wanted
    run([ISOBIT, "test", os.path.join(directory, "mnist-cnn.safetensors"), "--dataset", "digits",
         "--data-dir", DATA])
    static = os.path.join(directory, "static")
    words = flags(environment, "--static", "--cflags", "--libs")
    words[words.index("-lisobit")] = "-l:libisobit.a"
    run([CC, *warnings, EXAMPLE, *words, "-o", static], env=environment)
    del environment["LD_LIBRARY_PATH"]
    assert hash_of(static, directory, environment) == wanted


def test_cmake_package(directory):
    prefix, environment = install(directory)
    project = os.path.join(directory, "project")
    os.mkdir(project)
    with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="ascii") as stream:
        stream.write("cmake_minimum_required(VERSION 3.25)\nproject(user C)\n"
                     "find_package(isobit 0.1 REQUIRED)\n")
        for kind in ("isobit", "static"):
            stream.write(f"add_executable(with_{kind} {EXAMPLE})\n"
                         f"target_link_libraries(with_{kind} PRIVATE isobit::{kind})\n")
    build = os.path.join(project, "build")
    run(["cmake", "-S", project, "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}"])
    run(["cmake", "--build", build])
    del environment["LD_LIBRARY_PATH"]
    hashes = {hash_of(os.path.join(build, f"with_{kind}"), directory, environment)
              for kind in ("isobit", "static")}
    assert hashes == {trained(directory)["model_sha256"]}, hashes


def test_model_with_its_record_predicts_as_the_command(directory):
    """The record says data set and normalisation: neither is what it would be without one."""
    _, environment = install(directory)
    OPTIONS["normalize"] = "half"
    try:
        result = trained(directory)
    finally:
        del OPTIONS["normalize"]
    source, program = os.path.join(directory, "predict.c"), os.path.join(directory, "predict")
    with open(source, "w", encoding="ascii") as stream:
        stream.write(PREDICT)
    run([CC, source, *flags(environment, "--cflags", "--libs"), "-o", program], env=environment)
    tested = run([ISOBIT, "test", result["run_dir"], "--data-dir", DATA, "--json", "--test-size",
                  "300"])
    wanted = json.loads(tested[tested.index("{"):])["test_correct"]
    found = run([program, result["run_dir"], DATA], env=environment)
    assert int(found) == wanted, (found, wanted)
    alone = os.path.join(directory, "alone.safetensors")
    shutil.copy(os.path.join(result["run_dir"], "model.safetensors"), alone)
    with open(os.path.join(result["run_dir"], "run.json"), encoding="utf-8") as stream:
        assert json.load(stream)["configuration"]["normalize"] == "half"
    run([program, alone, DATA], env=environment)


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
