#include "options/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static const char *const DATA_VERBS[] = {"prepare", "verify", "show", "import", NULL};
static const char *const HASH_VERBS[] = {"update", "verify", NULL};
static const char *const HASH_OBJECTS[] = {"data", "model", "result", NULL};
static const char *const BENCH_VERBS[] = {"roofline", "step", "ops", NULL};
static const char *const EXPERIMENT_VERBS[] = {"check", "schema", NULL};
static const char *const MODEL_VERBS[] = {"list", "show", "check", NULL};
static const char *const SHELLS[] = {"bash", "zsh", "fish", NULL};

static const ib_command COMMANDS[] = {
    {.name = "data",
     .bit = IB_FOR_DATA,
     .verbs = {DATA_VERBS},
     .rest = "PATH",
     .summary = "get, check, describe or import a data set",
     .details = "prepare gets the four files from the mirror (or draws them: digits), checks the "
                "SHA-256 of their content and stores them uncompressed. verify checks what is "
                "there and fails closed: nothing found, a missing, damaged or unlisted file ends "
                "with exit code 3. show prints what is pinned about every data set, or about "
                "--dataset, whose images it counts and draws (with -o also as a PNG file). import "
                "makes a data set called --name of images of your own, in "
                "<data-dir>/<name>: idx files (plain or .gz), a folder train/CLASS/* and "
                "test/CLASS/* (or CLASS/*, with --test-share) of PNG, JPEG or PGM files, CSV with "
                "a column label, NumPy's .npy and .npz, CIFAR-10's binary batches; up to 256 x "
                "256 pixels of 1 to 4 channels and 1,000 classes."},
    {.name = "train",
     .bit = IB_FOR_TRAIN,
     .summary = "train a model and write its run record",
     .details = "Checks the data, trains, tests after each epoch, and writes "
                "<runs-dir>/<dataset>-<model>/<run-id>/ with run.json, metrics.jsonl, "
                "model.safetensors and optimizer.safetensors. The same experiment gives the same "
                "model_sha256 on every machine. Options of another optimiser or schedule are "
                "refused, never ignored."},
    {.name = "experiment",
     .bit = IB_FOR_EXPERIMENT,
     .verbs = {EXPERIMENT_VERBS},
     .operand = "FILE",
     .rest = "key=value",
     .summary = "check an experiment file, or print the format",
     .details = "check reads FILE with every check of the command line and prints the runs that it "
                "asks for, what is there already and what cannot run here. key=value replaces an "
                "option in every cell; seeds=3 or seeds=1,5 the seeds. schema prints a JSON Schema "
                "for editors."},
    {.name = "sweep",
     .bit = IB_FOR_SWEEP,
     .operand = "FILE",
     .operand_required = 1,
     .rest = "key=value",
     .summary = "run what is missing of an experiment file",
     .details = "A run with the same experiment_sha256 (and the backend, where the file names one) "
                "that finished or diverged is never done again. Any number of sweeps may work on "
                "one folder: each run is locked while it is done. Sweeps can be stopped and killed "
                "at any time and started again. A run that fails is recorded and does not stop the "
                "others; the exit code is 1 then. <runs-dir>/<study>/study.json says how "
                "everything stands."},
    {.name = "report",
     .bit = IB_FOR_REPORT,
     .operand = "FILE|DIR",
     .operand_required = 1,
     .rest = "key=value",
     .summary = "make tables, figures and findings of a study's run records",
     .details = "FILE is an experiment file, DIR the folder of a study or any folder of run "
                "records. Reads records only; what is missing is said where it is missing. Writes "
                "into <runs-dir>/<study>/ (DIR, for other folders of records): report.html, "
                "report.md, report.json, tables/ as CSV and figures/. With -o out.html "
                "everything but the page goes to out_files/."},
    {.name = "compare",
     .bit = IB_FOR_COMPARE,
     .operand = "RUN RUN",
     .operand_required = 1,
     .rest = "RUN",
     .summary = "put run records side by side, and find where two runs parted",
     .details = "A RUN is the directory of a record. Prints what was configured otherwise, the "
                "results, where the time went, and the hashes. Two records of one "
                "experiment_sha256 that do not have one result end with exit code 5; where both "
                "have a trace (isobit train --trace), the first step, tensor and element that "
                "differ are named, and the run is done again up to that step to tell which of the "
                "two this machine agrees with."},
    {.name = "cost",
     .bit = IB_FOR_COST,
     .operand = "RUN|RUNS_DIR",
     .operand_required = 1,
     .rest = "RUN|RUNS_DIR",
     .summary = "what runs took and cost: seconds, money, watt-hours",
     .details = "Reads the records of finished runs and a table of prices per machine and hour, "
                "dated and with its sources, that is made to be edited. A run has the price of "
                "--machine, else of the row whose match text is part of the name of its CPU or "
                "GPU; without one it has no price. Energy is what the record has measured; an "
                "estimate only with --watts. The cheapest run per 1,000 comes first."},
    {.name = "reproduce",
     .bit = IB_FOR_REPRODUCE,
     .operand = "RUN",
     .operand_required = 1,
     .summary = "do a recorded run again and compare the bits",
     .details =
         "RUN is the directory of a finished run's record. The experiment is its canonical "
         "configuration; data sets are needed with the same hashes. The new run has a "
         "record of its own below --runs-dir, and a trace where RUN has one. Exit code 0: "
         "the same bits; 5: others, and where they begin. Without --seed and --init-model those of "
         "the record count."},
    {.name = "verify",
     .bit = IB_FOR_VERIFY,
     .operand = "RUN|DIR",
     .operand_required = 1,
     .rest = "RUN|DIR",
     .summary = "check that run records are what was written",
     .details =
         "Each RUN, or every record below DIR: the seal of run.json, every file that it names, the "
         "chained lines of metrics.jsonl and steps of trace.bin, checkpoints, the accuracy "
         "against the confusion matrix. One line a record: sealed, unsealed (an earlier version "
         "wrote it; what can be checked fits) or BROKEN and why. Files that the record does not "
         "know are told. Exit code 3: a record is broken, or there is none."},
    {.name = "sync",
     .bit = IB_FOR_SYNC,
     .operand = "RUN|RUNS-DIR",
     .rest = "RUN|RUNS-DIR",
     .summary = "send run records to an MLflow server",
     .details =
         "What the server has not acknowledged is sent with the timestamps of the record; "
         "sending twice, from two processes or after a kill changes nothing. Without a name: "
         "every record below runs. The runs of a study are nested in a run of its name. "
         "Exit code 1: something could not be sent. MLflow's environment variables and "
         "~/.mlflow/credentials say how to reach the server."},
    {.name = "test",
     .bit = IB_FOR_TEST,
     .operand = "MODEL.safetensors",
     .operand_required = 1,
     .summary = "evaluate a trained model on the test images",
     .details = "MODEL may be a run's directory. Where run.json of the model's run lies beside it, "
                "data set, split, seed, test "
                "size and normalisation are taken from there unless given, and the file must have "
                "the hash recorded there. LIBSVM's model files (c_svc, features normalised by "
                "--normalize) are read too."},
    {.name = "export",
     .bit = IB_FOR_EXPORT,
     .operand = "MODEL.safetensors",
     .operand_required = 1,
     .summary = "write a trained model in another program's format",
     .details = "MODEL may be a run's directory. --onnx: a network; the input is the normalised "
                "image, [N,C,H,W]; -o is by default the model's name with .onnx. Data set and "
                "normalisation are for the file's metadata and taken from run.json beside the "
                "model unless given. --libsvm: a support vector machine as LIBSVM's model file, "
                "written to -o; its features are the normalised pixels. isobit test reads such "
                "files too."},
    {.name = "hash",
     .bit = IB_FOR_HASH,
     .verbs = {HASH_VERBS, HASH_OBJECTS},
     .operand = "PATH",
     .summary = "record hashes in a file, or compare with those recorded",
     .details = "data: the content of --dataset. model: the file PATH (verify without PATH: every "
                "model recorded). result: the run directory PATH, whose model and optimiser "
                "hashes are kept under its experiment_sha256. verify fails closed: nothing "
                "recorded, or a difference, ends with exit code 3."},
    {.name = "bench",
     .bit = IB_FOR_BENCH,
     .verbs = {BENCH_VERBS},
     .summary = "measure this machine",
     .details = "roofline: the greatest rate of fused multiply-adds, and memory. step: time of a "
                "training step and its share of that peak. ops: the same for each operation of "
                "the step, against its own bound."},
    {.name = "describe",
     .bit = IB_FOR_DESCRIBE,
     .summary = "print what a model consists of and costs",
     .details = "Each layer's output, parameters, multiply-adds and bytes; the totals, also as "
                "counting tools print them; the memory of training. --measure adds the floor of "
                "a training step on this machine: its multiply-adds at the measured peak and the "
                "optimiser's bytes at the measured memory bandwidth."},
    {.name = "model",
     .bit = IB_FOR_MODEL,
     .verbs = {MODEL_VERBS},
     .operand = "NAME|FILE",
     .summary = "list networks, print one, or check a file of yours",
     .details =
         "list names the networks there are. show prints one as a file: a start for your own, "
         "which "
         "--model FILE.yaml then trains. check says what is wrong with a file, with the line, or "
         "what the network costs for the images of --dataset. A file has a name, perhaps about (a "
         "sentence), input: {channels, height, width} (the images it is for) and blocks, and rows, "
         "each reading the one before unless it says from: NAME. Kinds and their keys: conv (out, "
         "kernel, stride, pad, bias), linear (out: a number or classes, bias), batch-norm, relu, "
         "max-pool (size, stride, pad), mean, dropout (p), flatten, add: [NAME, NAME]; each may "
         "have name, and PyTorch's names of keys do as well. block: {use, name, repeat, first, "
         "...} "
         "writes the rows of a block, its other keys being what $key stands for there, and input "
         "what the block reads."},
    {.name = "devices",
     .bit = IB_FOR_DEVICES,
     .summary = "list what can compute here",
     .details = "Instruction sets and threads that --isa and --threads accept on this machine."},
    {.name = "completion",
     .bit = IB_FOR_COMPLETION,
     .verbs = {SHELLS},
     .summary = "print a completion script for a shell",
     .details = "bash: source <(isobit completion bash). zsh: write it to a file _isobit in "
                "$fpath. fish: write it to ~/.config/fish/completions/isobit.fish."},
    {.name = "manual",
     .bit = IB_FOR_MANUAL,
     .summary = "print the manual page's source",
     .details = "Read it with: isobit manual | man -l -"},
};

static const char *const LATER_COMMANDS[] = {"soak", NULL};

const ib_command *ib_command_at(size_t index) {
    return index < sizeof COMMANDS / sizeof COMMANDS[0] ? &COMMANDS[index] : NULL;
}

const ib_command *ib_command_find(const char *name) {
    const ib_command *command;
    for (size_t i = 0; (command = ib_command_at(i)) != NULL; ++i)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

int ib_command_is_later(const char *name) {
    for (size_t i = 0; LATER_COMMANDS[i] != NULL; ++i)
        if (strcmp(LATER_COMMANDS[i], name) == 0)
            return 1;
    return 0;
}

/* Takes ownership of text; the result is fresh. */
static char *append(char *text, const char *separator, const char *more) {
    char *joined = text == NULL ? NULL : ib_format("%s%s%s", text, separator, more);
    free(text);
    return joined;
}

char *ib_command_synopsis(const ib_command *command) {
    char *text = ib_format("%s", command->name);
    for (size_t v = 0; v < 2 && command->verbs[v] != NULL; ++v)
        for (size_t i = 0; command->verbs[v][i] != NULL; ++i)
            text = append(text, i == 0 ? " " : "|", command->verbs[v][i]);
    if (command->operand != NULL) {
        text = append(text, command->operand_required ? " " : " [", command->operand);
        if (!command->operand_required)
            text = append(text, "", "]");
    }
    if (command->rest != NULL) {
        text = append(text, " [", command->rest);
        text = append(text, "", " ...]");
    }
    return text;
}
