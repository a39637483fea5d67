#include "record/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/text_stream.h"
#include "record/record_file.h"

__extension__ typedef unsigned __int128 uint128;

enum { FORMAT = 2, UNCHAINED = 1, HEAD_WORDS = 2, MAX_HEADER = 1 << 20 };

static const uint64_t PRIME = ((uint64_t)1 << 61) - 1;
/* Words of the expansion of pi: nothing up the sleeve. */
static const uint64_t BASE[2] = {0x0a3f6a8885a308d3u, 0x13198a2e03707344u};

/* ---- the hash -----------------------------------------------------------------------------------
 */

static uint64_t reduce(uint64_t x) { /* of x below 2^62 + 2^61 */
    x = (x & PRIME) + (x >> 61);
    return x >= PRIME ? x - PRIME : x;
}

static uint64_t multiply(uint64_t a, uint64_t b) {
    uint128 product = (uint128)a * b;
    return reduce(((uint64_t)product & PRIME) + (uint64_t)(product >> 61));
}

static uint64_t power(uint64_t base, uint64_t exponent) {
    uint64_t result = 1;
    for (; exponent != 0; exponent >>= 1, base = multiply(base, base))
        if (exponent & 1)
            result = multiply(result, base);
    return result;
}

static uint64_t subtract(uint64_t a, uint64_t b) {
    return a >= b ? a - b : a + PRIME - b;
}

/* Horner's rule from the last element; four chains of every fourth element hide its latency. */
static uint64_t hash_word(const uint32_t *x, size_t elements, uint64_t base) {
    uint64_t base4 = power(base, 4), chain[4] = {0};
    size_t whole = elements - elements % 4;
    for (size_t lane = 0; lane < elements % 4; ++lane)
        chain[lane] = (uint64_t)x[whole + lane] + 1;
    for (size_t i = whole; i > 0; i -= 4)
        for (size_t lane = 0; lane < 4; ++lane)
            chain[lane] = reduce(multiply(chain[lane], base4) + x[i - 4 + lane] + 1);
    uint64_t sum = 0;
    for (size_t lane = 4; lane > 0; --lane)
        sum = reduce(multiply(sum, base) + chain[lane - 1]);
    return sum;
}

ib_tensor_hash ib_tensor_hash_of(const void *values, size_t elements) {
    ib_tensor_hash hash;
    for (int j = 0; j < 2; ++j)
        hash.word[j] = hash_word(values, elements, BASE[j]);
    return hash;
}

/* A residue as a number of at most 32 bits and a sign; 0 when it is none. */
static int64_t small(uint64_t residue) {
    const uint64_t limit = (uint64_t)1 << 32;
    if (residue < limit)
        return (int64_t)residue;
    return PRIME - residue < limit ? -(int64_t)(PRIME - residue) : 0;
}

int ib_tensor_hash_element(const ib_tensor_hash *a, const ib_tensor_hash *b, size_t elements,
                           size_t *element, int64_t *difference) {
    uint64_t rest[2], inverse[2];
    for (int j = 0; j < 2; ++j) {
        rest[j] = subtract(b->word[j], a->word[j]);
        inverse[j] = power(BASE[j], PRIME - 2);
    }
    for (size_t i = 0; i < elements; ++i) {
        int64_t d = small(rest[0]);
        if (d != 0 && d == small(rest[1])) {
            *element = i;
            *difference = d;
            return 1;
        }
        for (int j = 0; j < 2; ++j)
            rest[j] = multiply(rest[j], inverse[j]);
    }
    return 0;
}

/* ---- one step -----------------------------------------------------------------------------------
 */

static size_t words_of(const ib_model *model) {
    size_t words = HEAD_WORDS;
    for (size_t i = 0; i < ib_model_tensor_count(model); ++i)
        words += ib_model_tensor(model, i)->trained ? 4 : 2;
    return words;
}

static size_t bytes_of(const ib_tensor_info *info) {
    return (size_t)ib_shape_elements(&info->shape) * ib_dtype_size(info->dtype);
}

/* The words of one step, from the model as the step left it. */
static ib_status take(const ib_model *model, uint64_t step, float loss, uint64_t *words,
                      ib_error *err) {
    size_t largest = 0, at = HEAD_WORDS;
    uint32_t loss_bits;
    for (size_t i = 0; i < ib_model_tensor_count(model); ++i)
        if (bytes_of(ib_model_tensor(model, i)) > largest)
            largest = bytes_of(ib_model_tensor(model, i));
    void *values = malloc(largest);
    ib_status status = values == NULL ? ib_fail_memory(err) : IB_OK;
    memcpy(&loss_bits, &loss, sizeof loss_bits);
    words[0] = step;
    words[1] = loss_bits;
    for (size_t i = 0; status == IB_OK && i < ib_model_tensor_count(model); ++i) {
        const ib_tensor_info *info = ib_model_tensor(model, i);
        for (int gradient = info->trained; status == IB_OK && gradient >= 0; --gradient) {
            ib_tensor_hash hash = {{0, 0}};
            if (!gradient || step > 0) {
                status = ib_model_read(model, i, gradient ? IB_PART_GRADIENT : IB_PART_VALUE,
                                       values, err);
                if (status == IB_OK)
                    hash = ib_tensor_hash_of(values, bytes_of(info) / 4);
            }
            memcpy(words + at, hash.word, sizeof hash.word);
            at += 2;
        }
    }
    free(values);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------------
 */

struct ib_trace_writer {
    const ib_model *model;
    char *path;
    FILE *stream;
    uint64_t *words;
    size_t word_count; /* without the chain */
    ib_sha256 chain;   /* of the whole file */
};

static ib_status make_header(const ib_model *model, ib_text_stream *text, ib_error *err) {
    IB_TRY(ib_text_open(text, err));
    ib_json json = {.out = text->stream};
    ib_json_open(&json, NULL, '{');
    ib_json_int(&json, "format", FORMAT);
    ib_json_open(&json, "tensors", '[');
    for (size_t i = 0; i < ib_model_tensor_count(model); ++i)
        ib_json_string(&json, NULL, ib_model_tensor(model, i)->name);
    ib_json_close(&json, ']');
    ib_json_open(&json, "trained", '[');
    for (size_t i = 0; i < ib_model_tensor_count(model); ++i)
        ib_json_bool(&json, NULL, ib_model_tensor(model, i)->trained);
    ib_json_close(&json, ']');
    ib_json_open(&json, "shapes", '[');
    for (size_t i = 0; i < ib_model_tensor_count(model); ++i) {
        const ib_shape *shape = &ib_model_tensor(model, i)->shape;
        ib_json_open(&json, NULL, '[');
        for (int d = 0; d < shape->rank; ++d)
            ib_json_int(&json, NULL, shape->extent[d]);
        ib_json_close(&json, ']');
    }
    ib_json_close(&json, ']');
    ib_json_close(&json, '}');
    fputc('\n', json.out);
    return ib_text_close(text, err);
}

static ib_status write_words(ib_trace_writer *writer, ib_error *err) {
    size_t bytes = writer->word_count * sizeof *writer->words;
    ib_sha256_update(&writer->chain, writer->words, bytes);
    writer->words[writer->word_count] = ib_chain_word(&writer->chain);
    ib_sha256_update(&writer->chain, writer->words + writer->word_count, sizeof *writer->words);
    errno = 0;
    if (fwrite(writer->words, sizeof *writer->words, writer->word_count + 1, writer->stream) ==
        writer->word_count + 1)
        return IB_OK;
    return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot write %s", writer->path);
}

/* What is there is kept up to size; file and its name are on the disk. */
static ib_status open_stream(ib_trace_writer *writer, const ib_folder *run, uint64_t size,
                             ib_error *err) {
    int fd;
    IB_TRY(ib_folder_open_file(run, IB_TRACE_NAME, O_WRONLY | O_APPEND | O_CREAT, &fd, err));
    if (ftruncate(fd, (off_t)size) != 0) {
        ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot shorten %s", writer->path);
        close(fd);
        return IB_ERROR_RUNTIME;
    }
    writer->stream = fdopen(fd, "ab");
    if (writer->stream == NULL) {
        close(fd);
        return ib_fail_memory(err);
    }
    return ib_folder_sync(run, err);
}

/* What was written after the checkpoint is cut off. */
static ib_status continue_file(ib_trace_writer *writer, const ib_folder *run, const ib_prefix *from,
                               ib_error *err) {
    IB_TRY(ib_prefix_check(writer->path, from, ib_trace_first_misfit, &writer->chain, err));
    return open_stream(writer, run, from->bytes, err);
}

static ib_status begin_file(ib_trace_writer *writer, const ib_folder *run, ib_error *err) {
    ib_text_stream header;
    IB_TRY(make_header(writer->model, &header, err));
    ib_status status = open_stream(writer, run, 0, err);
    if (status == IB_OK) {
        fwrite(header.data, 1, header.size, writer->stream);
        ib_sha256_begin(&writer->chain);
        ib_sha256_update(&writer->chain, header.data, header.size);
    }
    free(header.data);
    IB_TRY(status);
    IB_TRY(take(writer->model, 0, 0.0f, writer->words, err));
    return write_words(writer, err);
}

ib_status ib_trace_open(const ib_folder *run, const ib_model *model, const ib_prefix *from,
                        ib_trace_writer **writer, ib_error *err) {
    *writer = calloc(1, sizeof **writer);
    if (*writer == NULL)
        return ib_fail_memory(err);
    ib_trace_writer *w = *writer;
    w->model = model;
    w->word_count = words_of(model);
    w->words = calloc(w->word_count + 1, sizeof *w->words);
    w->path = ib_path_join(run->path, IB_TRACE_NAME);
    ib_status status = w->words == NULL || w->path == NULL ? ib_fail_memory(err)
                       : from->bytes > 0                   ? continue_file(w, run, from, err)
                                                           : begin_file(w, run, err);
    if (status != IB_OK) {
        ib_trace_close(w);
        *writer = NULL;
    }
    return status;
}

ib_status ib_trace_step(ib_trace_writer *writer, uint64_t step, float loss, ib_error *err) {
    IB_TRY(take(writer->model, step, loss, writer->words, err));
    return write_words(writer, err);
}

ib_status ib_trace_sync(ib_trace_writer *writer, ib_prefix *prefix, ib_error *err) {
    if (fflush(writer->stream) != 0 || fsync(fileno(writer->stream)) != 0)
        return ib_fail_errno(err, IB_ERROR_RUNTIME, errno, "cannot write %s", writer->path);
    ib_chain_prefix(&writer->chain, prefix);
    return IB_OK;
}

void ib_trace_close(ib_trace_writer *writer) {
    if (writer == NULL)
        return;
    if (writer->stream != NULL)
        fclose(writer->stream);
    free(writer->path);
    free(writer->words);
    free(writer);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

struct ib_trace {
    char *path;
    ib_contents file;
    json_t *header;
    const json_t *names, *trained; /* of header */
    size_t header_bytes, tensor_count;
    size_t word_count, stride; /* words of a step without and with its chain */
    uint64_t records;          /* steps and the beginning */
};

/* A shape that tensors have: the element that differs is searched among so many. */
static int is_shape(const json_t *shape) {
    const int64_t most = (int64_t)1 << 28;
    int64_t elements = 1;
    if (!json_is_array(shape) || json_array_size(shape) > IB_MAX_RANK)
        return 0;
    for (size_t d = 0; d < json_array_size(shape); ++d) {
        int64_t extent = json_integer_value(json_array_get(shape, d));
        if (extent < 1 || extent > most / elements)
            return 0;
        elements *= extent;
    }
    return 1;
}

static ib_status read_header(ib_trace *trace, ib_error *err) {
    const char *text = (const char *)trace->file.data;
    size_t limit = trace->file.size < MAX_HEADER ? trace->file.size : MAX_HEADER;
    const char *end = text == NULL ? NULL : memchr(text, '\n', limit);
    if (end != NULL)
        IB_TRY(ib_json_parse(text, (size_t)(end - text), &trace->header, NULL, err));
    trace->names = json_object_get(trace->header, "tensors");
    trace->trained = json_object_get(trace->header, "trained");
    trace->tensor_count = json_array_size(trace->names);
    json_int_t format = json_integer_value(json_object_get(trace->header, "format"));
    if (trace->tensor_count == 0 || json_array_size(trace->trained) != trace->tensor_count ||
        (format != FORMAT && format != UNCHAINED))
        return ib_fail(err, IB_ERROR_VERIFY, "%s: its first line is not that of a trace",
                       trace->path);
    trace->word_count = HEAD_WORDS;
    for (size_t i = 0; i < trace->tensor_count; ++i) {
        if (!json_is_string(json_array_get(trace->names, i)) ||
            !is_shape(json_array_get(json_object_get(trace->header, "shapes"), i)))
            return ib_fail(err, IB_ERROR_VERIFY, "%s: tensor %zu has no name or no shape",
                           trace->path, i);
        trace->word_count += json_is_true(json_array_get(trace->trained, i)) ? 4 : 2;
    }
    trace->header_bytes = (size_t)(end - text) + 1;
    trace->stride = trace->word_count + (format == FORMAT);
    trace->records = (trace->file.size - trace->header_bytes) / (trace->stride * sizeof(uint64_t));
    return IB_OK;
}

size_t ib_trace_shape(const ib_trace *trace, size_t tensor, size_t extents[IB_MAX_RANK]) {
    const json_t *shape = json_array_get(json_object_get(trace->header, "shapes"), tensor);
    size_t rank = json_array_size(shape);
    for (size_t d = 0; d < rank && d < IB_MAX_RANK; ++d)
        extents[d] = (size_t)json_integer_value(json_array_get(shape, d));
    return rank < IB_MAX_RANK ? rank : IB_MAX_RANK;
}

/* The header gives no alignment. */
static uint64_t word_at(const ib_trace *trace, uint64_t record, size_t index) {
    uint64_t word;
    memcpy(&word,
           trace->file.data + trace->header_bytes + (record * trace->stride + index) * sizeof word,
           sizeof word);
    return word;
}

const ib_contents *ib_trace_contents(const ib_trace *trace) {
    return &trace->file;
}

int ib_trace_is_chained(const ib_trace *trace) {
    return trace->stride > trace->word_count;
}

/* The first step whose number or chain is not as it must be; trace->records: none. */
static uint64_t first_misfit(const ib_trace *trace) {
    ib_sha256 chain;
    size_t bytes = trace->word_count * sizeof(uint64_t);
    const uint8_t *at = trace->file.data + trace->header_bytes;
    ib_sha256_begin(&chain);
    ib_sha256_update(&chain, trace->file.data, trace->header_bytes);
    for (uint64_t r = 0; r < trace->records; ++r, at += trace->stride * sizeof(uint64_t)) {
        if (word_at(trace, r, 0) != r)
            return r;
        if (!ib_trace_is_chained(trace))
            continue;
        ib_sha256_update(&chain, at, bytes);
        if (word_at(trace, r, trace->word_count) != ib_chain_word(&chain))
            return r;
        ib_sha256_update(&chain, at + bytes, sizeof(uint64_t));
    }
    return trace->records;
}

static size_t offset_of(const ib_trace *trace, uint64_t record) {
    return trace->header_bytes + (size_t)record * trace->stride * sizeof(uint64_t);
}

size_t ib_trace_first_misfit(const uint8_t *data, size_t size) {
    ib_trace trace = {.file = {.data = (uint8_t *)(uintptr_t)data, .size = size}};
    size_t offset = 0;
    if (read_header(&trace, NULL) == IB_OK) {
        uint64_t misfit = first_misfit(&trace);
        offset = misfit == trace.records ? size : offset_of(&trace, misfit);
    }
    json_decref(trace.header);
    return offset;
}

/* Its first line has not reached the disk whole. Of a file that has its first step, that step's
 * number, 0, is NULs. */
static int is_only_begun(const ib_contents *file) {
    return memchr(file->data, '\n', file->size) == NULL &&
           memchr(file->data, '\0', file->size) == NULL;
}

static ib_status read_rows(ib_trace *trace, ib_error *err) {
    IB_TRY(read_header(trace, err));
    uint64_t misfit = first_misfit(trace);
    if (misfit == trace->records)
        return IB_OK;
    return ib_fail(err, IB_ERROR_VERIFY,
                   "%s, offset %zu: it was changed: step %llu is not what was written there",
                   trace->path, offset_of(trace, misfit), (unsigned long long)misfit);
}

ib_status ib_trace_check(const ib_contents *file, ib_error *err) {
    if (is_only_begun(file))
        return IB_OK;
    ib_trace trace = {.path = (char *)(uintptr_t)file->path, .file = *file};
    ib_status status = read_rows(&trace, err);
    if (status == IB_OK && !ib_trace_is_chained(&trace))
        status = ib_fail(err, IB_ERROR_VERIFY, "%s: it was changed: its format is not the record's",
                         trace.path);
    json_decref(trace.header);
    return status;
}

ib_status ib_trace_read(const char *run_directory, ib_trace **trace, ib_error *err) {
    *trace = NULL;
    ib_trace *found = calloc(1, sizeof *found);
    if (found == NULL)
        return ib_fail_memory(err);
    found->path = ib_path_join(run_directory, IB_TRACE_NAME);
    ib_status status = found->path == NULL ? ib_fail_memory(err) : IB_OK;
    if (status == IB_OK && !ib_path_is_missing(found->path))
        status = ib_contents_open(found->path, IB_RECORDED_MOST, &found->file, err);
    int there = status == IB_OK && found->file.data != NULL && !is_only_begun(&found->file);
    if (there)
        status = read_rows(found, err);
    if (there && status == IB_OK)
        *trace = found;
    else
        ib_trace_free(found);
    return status;
}

void ib_trace_free(ib_trace *trace) {
    if (trace == NULL)
        return;
    ib_contents_close(&trace->file);
    json_decref(trace->header);
    free(trace->path);
    free(trace);
}

/* ---- comparing ----------------------------------------------------------------------------------
 */

/* Where in a record the words of a tensor are. */
static size_t words_before(const ib_trace *trace, size_t tensor, int gradient) {
    size_t at = HEAD_WORDS;
    for (size_t i = 0; i < tensor; ++i)
        at += json_is_true(json_array_get(trace->trained, i)) ? 4 : 2;
    return at + (!gradient && json_is_true(json_array_get(trace->trained, tensor)) ? 2 : 0);
}

static int is_different(const uint64_t *a, const uint64_t *b, size_t at) {
    return a[at] != b[at] || a[at + 1] != b[at + 1];
}

/* Counts the tensors that differ in one way and remembers the first in the order of computation. */
static int find(const ib_trace *trace, const uint64_t *a, const uint64_t *b, ib_trace_what what,
                ib_trace_difference *d) {
    int trained = what != IB_TRACE_KEPT, backwards = what == IB_TRACE_GRADIENT;
    d->differing = 0;
    for (size_t n = 0; n < trace->tensor_count; ++n) {
        size_t i = backwards ? trace->tensor_count - 1 - n : n;
        if (json_is_true(json_array_get(trace->trained, i)) != trained)
            continue;
        size_t at = words_before(trace, i, what == IB_TRACE_GRADIENT);
        if (!is_different(a, b, at))
            continue;
        if (d->differing++ > 0)
            continue;
        d->what = what;
        d->tensor = i;
        d->name = json_string_value(json_array_get(trace->names, i));
        memcpy(d->a.word, a + at, sizeof d->a.word);
        memcpy(d->b.word, b + at, sizeof d->b.word);
    }
    return d->differing > 0;
}

static void compare_records(const ib_trace *trace, const uint64_t *a, const uint64_t *b,
                            ib_trace_difference *d) {
    d->step = a[0];
    d->loss_a = (uint32_t)a[1];
    d->loss_b = (uint32_t)b[1];
    if (find(trace, a, b, IB_TRACE_KEPT, d))
        return;
    if (a[1] != b[1])
        d->what = IB_TRACE_LOSS;
    else if (!find(trace, a, b, IB_TRACE_GRADIENT, d))
        find(trace, a, b, IB_TRACE_VALUE, d);
}

/* The format may differ: what is compared is what all of them have. */
static int is_same_model(const ib_trace *a, const ib_trace *b) {
    return json_equal(a->names, b->names) && json_equal(a->trained, b->trained) &&
           json_equal(json_object_get(a->header, "shapes"), json_object_get(b->header, "shapes"));
}

ib_status ib_trace_compare(const ib_trace *a, const ib_trace *b, ib_trace_difference *difference,
                           ib_error *err) {
    *difference = (ib_trace_difference){0};
    if (!is_same_model(a, b))
        return ib_fail(err, IB_ERROR_USAGE, "%s and %s are traces of other models", a->path,
                       b->path);
    size_t bytes = a->word_count * sizeof(uint64_t);
    uint64_t common = a->records < b->records ? a->records : b->records, r = 0;
    while (r < common &&
           memcmp(a->file.data + offset_of(a, r), b->file.data + offset_of(b, r), bytes) == 0)
        ++r;
    if (r == common) {
        difference->step = common;
        difference->what = a->records == b->records ? IB_TRACE_SAME : IB_TRACE_LENGTH;
        return IB_OK;
    }
    uint64_t *words = malloc(2 * bytes);
    if (words == NULL)
        return ib_fail_memory(err);
    memcpy(words, a->file.data + offset_of(a, r), bytes);
    memcpy(words + a->word_count, b->file.data + offset_of(b, r), bytes);
    compare_records(a, words, words + a->word_count, difference);
    free(words);
    return IB_OK;
}
