/* isobit hash: hashes written down once, in a file made to be committed, and compared later. */
#include "command/command.h"
#include "command/missing_data.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sha256.h"
#include "data/dataset.h"
#include "record/record_file.h"
#include "record/run_files.h"

/* One hash as it is now, and where it is kept: file.<section>.<name>.<member>. */
typedef struct hash_entry {
    const char *section; /* "data", "model", "result" */
    const char *name;
    const char *member;
    const char *sha256;
} hash_entry;

/* The hash file while one command works on it. */
typedef struct hash_book {
    const char *path;
    json_t *root;
    int updating;
    size_t checked, different;
    FILE *out;
} hash_book;

/* The object at parent.key; made when it is missing and make is set. Borrowed. */
static json_t *child(json_t *parent, const char *key, int make) {
    json_t *found = json_object_get(parent, key);
    if (found == NULL && make && json_object_set_new(parent, key, json_object()) == 0)
        found = json_object_get(parent, key);
    return found;
}

static ib_status take_entry(hash_book *book, const hash_entry *entry, ib_error *err) {
    json_t *named =
        child(child(book->root, entry->section, book->updating), entry->name, book->updating);
    const char *recorded = ib_json_text_at(named, entry->member);
    ++book->checked;
    if (book->updating) {
        if (recorded != NULL && strcmp(recorded, entry->sha256) != 0)
            fprintf(book->out, "%s %s %s: replaces %s\n", entry->section, entry->name,
                    entry->member, recorded);
        if (json_object_set_new(named, entry->member, json_string(entry->sha256)) != 0)
            return ib_fail(err, IB_ERROR_RUNTIME,
                           "%s: cannot record %s: out of memory, not UTF-8, or '%s' is no object",
                           book->path, entry->name, entry->section);
        fprintf(book->out, "%s %s %s: recorded %s\n", entry->section, entry->name, entry->member,
                entry->sha256);
        return IB_OK;
    }
    if (recorded == NULL) {
        ++book->different;
        fprintf(book->out, "%s %s %s: nothing recorded\n", entry->section, entry->name,
                entry->member);
    } else if (strcmp(recorded, entry->sha256) != 0) {
        ++book->different;
        fprintf(book->out, "%s %s %s: DIFFERENT\n  recorded %s\n  found    %s\n", entry->section,
                entry->name, entry->member, recorded, entry->sha256);
    } else {
        fprintf(book->out, "%s %s %s: same\n", entry->section, entry->name, entry->member);
    }
    return IB_OK;
}

static ib_status hash_data(hash_book *book, const ib_config *config,
                           const ib_command_context *context, ib_error *err) {
    ib_dataset dataset = {0};
    IB_TRY(ib_get_missing_data(config, context, err));
    IB_TRY(ib_dataset_open(config->data.dir, config->experiment.dataset, &dataset, err));
    ib_status status = IB_OK;
    for (int role = 0; status == IB_OK && role < IB_FILE_ROLES; ++role)
        status = take_entry(book,
                            &(hash_entry){"data", config->experiment.dataset,
                                          ib_dataset_file_name(dataset.info, (ib_file_role)role),
                                          dataset.sha256[role]},
                            err);
    ib_dataset_close(&dataset);
    return status;
}

static ib_status hash_one_model(hash_book *book, const char *path, ib_error *err) {
    char sha256[IB_SHA256_HEX_SIZE];
    if (!ib_path_exists(path))
        return ib_fail(err, IB_ERROR_VERIFY, "there is no model file %s", path);
    IB_TRY(ib_sha256_file(path, sha256, err));
    return take_entry(book, &(hash_entry){"model", path, "model_sha256", sha256}, err);
}

static ib_status hash_model(hash_book *book, const char *path, ib_error *err) {
    if (path != NULL)
        return hash_one_model(book, path, err);
    if (book->updating)
        return ib_fail(err, IB_ERROR_USAGE,
                       "isobit hash update model needs the model file: isobit hash update model "
                       "PATH");
    const char *recorded;
    json_t *value;
    json_object_foreach(child(book->root, "model", 0), recorded, value) {
        (void)value;
        IB_TRY(hash_one_model(book, recorded, err));
    }
    return IB_OK;
}

/* The file in the run directory must be what run.json says: a record is not believed blindly. */
static ib_status check_run_file(const ib_run *run, const char *name, ib_error *err) {
    char *path = ib_path_join(run->directory, name);
    ib_status status = path == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && !ib_path_exists(path))
        status = ib_fail(err, IB_ERROR_VERIFY, "%s is missing: the run record is damaged", path);
    free(path);
    return status == IB_OK ? ib_run_check_file(run, name, err) : status;
}

static ib_status hash_record(hash_book *book, const ib_run *run, ib_error *err) {
    const char *experiment = run->experiment_sha256, *model = run->model_sha256;
    const char *optimizer = run->optimizer_sha256; /* a support vector machine has none */
    if (experiment == NULL || model == NULL)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s holds no finished run: run.json is missing or has no results",
                       run->directory);
    IB_TRY(check_run_file(run, "model.safetensors", err));
    if (optimizer != NULL)
        IB_TRY(check_run_file(run, "optimizer.safetensors", err));
    IB_TRY(take_entry(book, &(hash_entry){"result", experiment, "model_sha256", model}, err));
    if (optimizer == NULL)
        return IB_OK;
    return take_entry(book, &(hash_entry){"result", experiment, "optimizer_sha256", optimizer},
                      err);
}

static ib_status hash_result(hash_book *book, const char *directory, ib_error *err) {
    if (directory == NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "isobit hash %s result needs the run directory: isobit hash %s result "
                       "runs/EXPERIMENT/RUN-ID",
                       book->updating ? "update" : "verify", book->updating ? "update" : "verify");
    ib_run run;
    ib_status status = ib_run_read(directory, &run, err);
    if (status == IB_OK)
        status = hash_record(book, &run, err);
    ib_run_close(&run);
    return status;
}

static ib_status write_book(const hash_book *book, ib_error *err) {
    char *text = ib_json_dump(book->root, JSON_INDENT(2) | JSON_SORT_KEYS);
    char *lines = text == NULL ? NULL : ib_format("%s\n", text);
    ib_status status = lines == NULL ? ib_fail_memory(err)
                                     : ib_write_file_atomic(book->path, lines, strlen(lines), err);
    free(text);
    free(lines);
    return status;
}

static ib_status work(hash_book *book, const ib_arguments *arguments,
                      const ib_command_context *context, ib_error *err) {
    const char *object = arguments->words[1];
    const char *operand = arguments->word_count > 2 ? arguments->words[2] : NULL;
    if (strcmp(object, "data") == 0 && operand != NULL)
        return ib_fail(err, IB_ERROR_USAGE,
                       "isobit hash data takes no path: name the data set with --dataset and its "
                       "place with --data-dir");
    ib_status status = strcmp(object, "data") == 0
                           ? hash_data(book, &arguments->config, context, err)
                       : strcmp(object, "model") == 0 ? hash_model(book, operand, err)
                                                      : hash_result(book, operand, err);
    if (status != IB_OK || book->updating)
        return status == IB_OK ? write_book(book, err) : status;
    if (book->checked == 0)
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s records nothing of kind %s: nothing was checked (record it with isobit "
                       "hash update %s)",
                       book->path, object, object);
    if (book->different > 0)
        return ib_fail(err, IB_ERROR_VERIFY, "%zu of %zu hashes are not as recorded in %s",
                       book->different, book->checked, book->path);
    return IB_OK;
}

/* Held from reading to writing: of two updates at once neither loses the other's. The lock is on
 * the folder, since the file is replaced; -1 where there is none, which writing will tell. */
static int lock_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    int fd = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd >= 0)
        flock(fd, LOCK_EX); /* a file system without locks: as before */
    return fd;
}

ib_status ib_command_hash(ib_arguments *arguments, const ib_command_context *context,
                          ib_error *err) {
    hash_book book = {.path = arguments->config.output.hash_file,
                      .updating = strcmp(arguments->words[0], "update") == 0,
                      .out = context->out};
    int lock = book.updating ? lock_folder(book.path) : -1;
    ib_status status = ib_json_file_read(book.path, &book.root, err);
    if (status == IB_OK && book.root == NULL)
        book.root = json_object();
    if (status == IB_OK)
        status = book.root == NULL ? ib_fail_memory(err) : work(&book, arguments, context, err);
    json_decref(book.root);
    if (lock >= 0)
        close(lock);
    return status;
}
