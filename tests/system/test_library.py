"""The library as it is installed: which names it has, and that programs built against it by pkg-config
or CMake, shared and static, give the hashes of the command.

environment: ISOBIT, the program; BUILD_DIR, SOURCE_DIR; ISOBIT_TEST_DATA, where digits is
"""
import json
import os
import pty
import re
import shutil
import signal
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
COMPILERS = [CC] + [name for name in ("gcc", "clang") if name != CC and shutil.which(name)]

# Opens the network of a run from its files and goes on to one more epoch than argv[3] says.
GO_ON = r"""
#include <stdio.h>
#include <isobit/isobit.h>
int main(int argc, char **argv) {
    ib_device *device;
    ib_data *data;
    ib_net *net;
    ib_result test;
    char why[256], path[4096], sha256[2][IB_SHA256_TEXT];
    const ib_net_options options = {.model = argv[1], .options = (const char *const *)argv + 3};
    if (argc < 4 || ib_device_open(NULL, &device, why, sizeof why) != IB_OK ||
        ib_data_open(argv[2], "digits", &data, why, sizeof why) != IB_OK ||
        ib_net_open(device, data, &options, &net, why, sizeof why) != IB_OK)
        return puts(why), 1;
    snprintf(path, sizeof path, "%s/optimizer.safetensors", argv[1]);
    if (ib_net_evaluate(net, IB_TEST_SET, &test, NULL) != IB_OK ||
        ib_net_load_optimizer(net, path) != IB_OK || ib_net_train(net, NULL, NULL) != IB_OK ||
        ib_net_save(net, NULL, sha256[0]) != IB_OK ||
        ib_net_save_optimizer(net, NULL, sha256[1]) != IB_OK)
        return puts(ib_net_error(net)), 1;
    printf("%zu %zu %s %s\n", test.correct, test.count, sha256[0], sha256[1]);
    ib_net_close(net);
    ib_data_close(data);
    ib_device_close(device);
    return 0;
}
"""

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


def run(words, code=0, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    assert done.returncode == code, f"{' '.join(words)}: exit {done.returncode}\n{done.stdout}"
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
    manifest, kept = os.path.join(BUILD, "install_manifest.txt"), os.path.join(directory, "kept")
    if os.path.exists(manifest):  # of an installation that somebody may want to remove
        shutil.move(manifest, kept)
    run(["cmake", "--install", BUILD, "--prefix", "/opt/isobit"], env=environment)
    shutil.move(manifest, os.path.join(directory, "manifest"))
    if os.path.exists(kept):
        shutil.move(kept, manifest)
    prefix = os.path.join(directory, "opt", "isobit")
    library = os.path.dirname(os.path.dirname(find(prefix, "isobit.pc")))
    return prefix, dict(os.environ, PKG_CONFIG_PATH=os.path.join(library, "pkgconfig"),
                        LD_LIBRARY_PATH=library)


def find(root, name):
    for directory, _, names in os.walk(root):
        if name in names:
            return os.path.join(directory, name)
    raise AssertionError(f"{name} was not installed")


def built(directory, text, environment):
    """The program of this source, with the shared library."""
    program = os.path.join(directory, "program")
    with open(program + ".c", "w", encoding="ascii") as stream:
        stream.write(text)
    run([CC, program + ".c", *flags(environment, "--cflags", "--libs"), "-o", program],
        env=environment)
    return program


def flags(environment, *words):
    return run(["pkg-config", *words, "isobit"], env=environment).split()


def trained(directory, **others):
    """The result of the command's run with the options of the example, or others."""
    words = [f"--{name}={value}" for name, value in {**OPTIONS, **others}.items()]
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
                     r"putchar|perror|signal|sigaction|curl_\w+|gz\w+|inflate\w*|"
                     r"__printf_chk)$", wanted, re.M)
    assert not bad, bad
    needed = run(["objdump", "-p", find(prefix, "libisobit.so")])
    assert "SONAME               libisobit.so.0.1\n" in needed, needed
    assert set(re.findall(r"NEEDED +(\w+)", needed)) <= {"libm", "libjansson", "libyaml", "libc",
                                                         "ld"}, needed


def test_installed(directory):
    prefix, _ = install(directory)
    for name in ("isobit", "train.h", "isobit.1", "_isobit", "isobit.fish", "prices.yaml", "LICENSE",
                 "isobitConfig.cmake"):
        assert os.path.getsize(find(prefix, name)) > 0, name
    with open(os.path.join(prefix, "share", "man", "man1", "isobit.1"), encoding="ascii") as stream:
        assert ".TH" in stream.read()


def test_installed_files_are_found_from_anywhere(directory):
    """Studies and prices, by their names in the source tree and through a link to the program; a file
    of that name in the folder itself comes first."""
    prefix, _ = install(directory)
    result = trained(directory)
    program, empty = os.path.join(directory, "ib"), os.path.join(directory, "empty")
    os.symlink(os.path.join(prefix, "bin", "isobit"), program)
    os.mkdir(empty)
    share = os.path.join(os.path.realpath(prefix), "share", "isobit", "experiments")
    out = run([program, "cost", result["run_dir"], "--machine", "none"], cwd=empty, code=2)
    assert f"{share}/prices.yaml has no row named 'none'" in out, out
    for name in sorted(os.listdir(os.path.join(SOURCE, "experiments", "small"))):
        run([program, "experiment", "check", f"experiments/small/{name}"], cwd=empty)
    study = ["experiments/small/container.yaml", "dataset=digits"]
    run([program, "report", *study], cwd=empty)
    with open(os.path.join(empty, "runs", "container-small", "report.md"), encoding="utf-8") as text:
        told = text.read().replace("\\", "")  # Markdown's escapes: folders may have a _ in their names
    assert f"{share}/small/container.yaml" in told, told
    out = run([program, "experiment", "check", "experiments/none.yaml"], cwd=empty, code=2)
    assert "experiments/none.yaml" in out and share not in out, out
    os.mkdir(os.path.join(empty, "experiments"))
    with open(os.path.join(empty, "experiments", "prices.yaml"), "w", encoding="ascii") as stream:
        stream.write("prices: none\n")
    out = run([program, "cost", result["run_dir"]], cwd=empty, code=2)
    assert "experiments/prices.yaml:1:" in out and share not in out, out


def test_uninstalled(directory):
    """What was installed goes, and what somebody put beside it stays."""
    prefix, _ = install(directory)
    own = os.path.join(prefix, "share", "isobit", "experiments", "own.yaml")
    with open(own, "w", encoding="ascii") as stream:
        stream.write("name: own\n")
    words = ["cmake", f"-DMANIFEST={directory}/manifest", "-P",
             os.path.join(SOURCE, "cmake", "uninstall.cmake")]
    run(words, env=dict(os.environ, DESTDIR=directory))
    left = [os.path.join(folder, name) for folder, _, names in os.walk(prefix) for name in names]
    assert left == [own], left
    assert not os.path.exists(os.path.join(prefix, "include", "isobit"))
    run(words, env=dict(os.environ, DESTDIR=directory), code=1)


def test_example_has_the_hash_of_the_command(directory):
    _, environment = install(directory)
    with open(EXAMPLE, encoding="ascii") as stream:
        assert len(stream.readlines()) <= 80
    wanted = trained(directory)["model_sha256"]
    warnings = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    words = flags(environment, "--static", "--cflags", "--libs")
    words[words.index("-lisobit")] = "-l:libisobit.a"
    for compiler in COMPILERS:
        shared, static = (os.path.join(directory, f"{compiler}-{kind}")
                          for kind in ("shared", "static"))
        run([compiler, *warnings, EXAMPLE, *flags(environment, "--cflags", "--libs"), "-o", shared],
            env=environment)
        assert hash_of(shared, directory, environment) == wanted, compiler
        run([compiler, *warnings, EXAMPLE, *words, "-o", static], env=environment)
        alone = {name: value for name, value in environment.items() if name != "LD_LIBRARY_PATH"}
        assert hash_of(static, directory, alone) == wanted, compiler
    run([ISOBIT, "test", os.path.join(directory, "mnist-cnn.safetensors"), "--dataset", "digits",
         "--data-dir", DATA])


def test_example_stops_on_request(directory):
    """SIGINT after the first line that it prints: it ends after a step, long before its epochs."""
    _, environment = install(directory)
    with open(EXAMPLE, encoding="ascii") as stream:
        program = built(directory, stream.read(), environment)
    ours, its = pty.openpty()  # a pipe would get its lines when it ends
    with subprocess.Popen([program, DATA, "digits", "epochs=1000"], cwd=directory, env=environment,
                          stdout=its, stderr=subprocess.PIPE, text=True) as running:
        os.close(its)
        assert os.read(ours, 1000).startswith(b"step 1 of ")
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=600)
    os.close(ours)
    assert running.returncode == 130 and "training was stopped" in said, (running.returncode, said)


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
    result = trained(directory, normalize="half")
    program = built(directory, PREDICT, environment)
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


def test_run_goes_on_from_its_files(directory):
    """A run of one epoch, opened by its directory alone, is evaluated as it was and ends an epoch
    later as a run of two; a run.json of another model is told."""
    _, environment = install(directory)
    program = built(directory, GO_ON, environment)
    one = trained(directory, normalize="half", model="mlp")
    two = trained(directory, normalize="half", model="mlp", epochs="2")
    words = ["train-size=" + OPTIONS["train-size"], "epochs=2"]
    found = run([program, one["run_dir"], DATA, *words], env=environment).split()
    wanted = [str(round(300 * one["test_accuracy"])), "300", two["model_sha256"], two["optimizer_sha256"]]
    assert found == wanted, (found, wanted)
    shutil.copy(os.path.join(two["run_dir"], "model.safetensors"), one["run_dir"])
    done = subprocess.run([program, one["run_dir"], DATA, *words], env=environment, text=True,
                          stdout=subprocess.PIPE, check=False)
    assert done.returncode == 1 and ", but the model of" in done.stdout, done.stdout


if __name__ == "__main__":
    sys.exit(run_tests(globals()))
