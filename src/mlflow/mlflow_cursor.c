#include "mlflow/mlflow_cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_value.h"
#include "record/run_files.h"

enum { CURSOR_FORMAT = 1, POLL_NANOSECONDS = 50000000 };
static const double SAVE_SECONDS = 1;

static ib_status take_lock(ib_mlflow_cursor *cursor, int wait, int *busy, ib_error *err) {
    while (flock(cursor->folder.fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot lock %s", cursor->directory);
        if (!wait || ib_run_is_live(cursor->directory)) {
            *busy = 1;
            return IB_OK;
        }
        struct timespec nap = {0, POLL_NANOSECONDS};
        nanosleep(&nap, NULL);
    }
    return IB_OK;
}

static ib_status read_file(ib_mlflow_cursor *cursor, const char *server, ib_error *err) {
    char *path = ib_path_join(cursor->directory, "mlflow.json");
    if (path == NULL)
        return ib_fail_memory(err);
    ib_status status = ib_json_file_read(path, &cursor->file, err);
    free(path);
    IB_TRY(status);
    if (cursor->file == NULL)
        cursor->file = json_pack("{s:i,s:{}}", "format", CURSOR_FORMAT, "servers");
    json_t *servers = json_object_get(cursor->file, "servers");
    if (servers != NULL && json_object_get(servers, server) == NULL)
        json_object_set_new(servers, server, json_object());
    cursor->state = json_object_get(servers, server);
    if (!json_is_object(cursor->state))
        return ib_fail(err, IB_ERROR_VERIFY,
                       "%s/mlflow.json does not say what was sent: remove it, and the run is found "
                       "again on the server by its tag isobit.run_id",
                       cursor->directory);
    return IB_OK;
}

ib_status ib_mlflow_cursor_open(const char *directory, const char *server, int wait,
                                ib_mlflow_cursor *cursor, int *busy, ib_error *err) {
    *busy = 0;
    *cursor = (ib_mlflow_cursor){.directory = directory, .saved = ib_seconds()};
    if (ib_folder_open(directory, &cursor->folder, err) != IB_OK)
        return IB_ERROR_VERIFY;
    IB_TRY(take_lock(cursor, wait, busy, err));
    if (*busy)
        return IB_OK;
    ib_atomic_clean(&cursor->folder, "mlflow.json");
    return read_file(cursor, server, err);
}

ib_status ib_mlflow_cursor_save(ib_mlflow_cursor *cursor, ib_error *err) {
    char *text = ib_json_dump(cursor->file, JSON_INDENT(2));
    ib_status status =
        text == NULL ? ib_fail_memory(err)
                     : ib_write_file_in(&cursor->folder, "mlflow.json", text, strlen(text), err);
    free(text);
    cursor->saved = ib_seconds();
    cursor->unsaved = 0;
    return status;
}

ib_status ib_mlflow_cursor_save_soon(ib_mlflow_cursor *cursor, ib_error *err) {
    cursor->unsaved = 1;
    return ib_seconds() - cursor->saved < SAVE_SECONDS ? IB_OK : ib_mlflow_cursor_save(cursor, err);
}

ib_status ib_mlflow_cursor_settle(ib_mlflow_cursor *cursor, ib_error *err) {
    return cursor->unsaved ? ib_mlflow_cursor_save(cursor, err) : IB_OK;
}

void ib_mlflow_cursor_close(ib_mlflow_cursor *cursor) {
    json_decref(cursor->file);
    ib_folder_close(&cursor->folder);
    *cursor = (ib_mlflow_cursor){0};
}

const char *ib_mlflow_state_text(const ib_mlflow_cursor *cursor, const char *key) {
    return json_string_value(json_object_get(cursor->state, key));
}

uint64_t ib_mlflow_state_number(const ib_mlflow_cursor *cursor, const char *key) {
    json_int_t value = json_integer_value(json_object_get(cursor->state, key));
    return value > 0 ? (uint64_t)value : 0;
}

ib_status ib_mlflow_state_set(ib_mlflow_cursor *cursor, const char *key, json_t *value,
                              ib_error *err) {
    return json_object_set_new(cursor->state, key, value) == 0 ? IB_OK : ib_fail_memory(err);
}
