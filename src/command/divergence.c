#include "command/divergence.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "command/rerun.h"
#include "record/record_file.h"
#include "record/recorded.h"
#include "record/run_files.h"
#include "record/trace.h"

/* One search. */
typedef struct search {
    const ib_run *run[2];
    ib_trace *trace[2];
    ib_trace_difference difference;
    size_t extents[IB_MAX_RANK], rank, elements;
    ib_arguments *arguments;
    const ib_command_context *context;
    json_t *found;
    int failed; /* memory ran out: what was found is not whole */
} search;

/* value NULL: memory ran out. */
static void say(search *s, const char *key, json_t *value) {
    s->failed |= json_object_set_new(s->found, key, value) != 0;
}

static void note(search *s, const char *text) {
    say(s, "note", json_string(text));
}

static const char *what_text(ib_trace_what what) {
    static const char *const TEXTS[] = {
        [IB_TRACE_SAME] = "nothing", [IB_TRACE_KEPT] = "running statistics",
        [IB_TRACE_LOSS] = "loss",    [IB_TRACE_GRADIENT] = "gradient",
        [IB_TRACE_VALUE] = "value",  [IB_TRACE_LENGTH] = "length",
    };
    return TEXTS[what];
}

static json_t *bits_text(uint32_t bits) {
    char text[16];
    snprintf(text, sizeof text, "0x%08" PRIx32, bits);
    return json_string(text);
}

static int names_tensor(const search *s) {
    ib_trace_what what = s->difference.what;
    return what == IB_TRACE_KEPT || what == IB_TRACE_GRADIENT || what == IB_TRACE_VALUE;
}

/* ---- the element --------------------------------------------------------------------------------
 */

static void say_element(search *s, size_t element) {
    json_t *index = json_array();
    size_t rest = element, left = s->elements;
    for (size_t d = 0; d < s->rank; ++d) {
        left /= s->extents[d];
        s->failed |= json_array_append_new(index, json_integer((json_int_t)(rest / left))) != 0;
        rest %= left;
    }
    say(s, "element", json_integer((json_int_t)element));
    say(s, "index", index);
}

static int has_hash(const ib_rerun *rerun, const ib_tensor_hash *hash) {
    ib_tensor_hash ours = ib_tensor_hash_of(rerun->bits, rerun->elements);
    return memcmp(ours.word, hash->word, sizeof ours.word) == 0;
}

/* With one element differing, the other run's bits follow from the difference of the hashes. */
static void say_bits(search *s, const ib_rerun *rerun, int agrees, size_t element,
                     int64_t difference) {
    uint32_t ours = rerun->bits[element];
    uint32_t other = (uint32_t)((int64_t)ours + (agrees == 1 ? difference : -difference));
    say(s, "bits",
        json_pack("[o, o]", bits_text(agrees == 1 ? ours : other),
                  bits_text(agrees == 1 ? other : ours)));
}

/* Both tensors are here, each made with the instruction set and threads of its record. */
static void compare_tensors(search *s, const ib_rerun *a, const ib_rerun *b) {
    size_t differing = 0;
    for (size_t i = 0; i < a->elements && i < b->elements; ++i) {
        if (a->bits[i] == b->bits[i] || differing++ > 0)
            continue;
        say_element(s, i);
        say(s, "bits", json_pack("[o, o]", bits_text(a->bits[i]), bits_text(b->bits[i])));
    }
    say(s, "elements_differing", json_integer((json_int_t)differing));
}

/* The run of one record again, with the instruction set and threads that it had. */
static ib_status rerun_as_recorded(search *s, int which, ib_rerun *rerun) {
    const ib_run *run = s->run[which];
    const ib_run_environment *e = &run->environment;
    ib_config *config = &s->arguments->config;
    char *own_isa = config->machine.isa, *recorded = e->isa == NULL ? NULL : strdup(e->isa);
    int64_t own_threads = config->machine.threads;
    ib_error why = {0};
    if (recorded == NULL) {
        s->failed |= e->isa != NULL;
        return IB_ERROR_UNAVAILABLE;
    }
    config->machine.isa = recorded;
    config->machine.threads = e->threads >= 0 && e->threads <= INT32_MAX ? (int64_t)e->threads : 0;
    ib_status status = ib_rerun_to(config, s->context, run->experiment_sha256, rerun, &why);
    s->failed |= ib_error_is_memory(&why);
    ib_error_clear(&why);
    config->machine.isa = own_isa;
    config->machine.threads = own_threads;
    free(recorded);
    return status;
}

static int compare_both_reruns(search *s) {
    ib_rerun runs[2] = {{0}, {0}};
    const ib_tensor_hash *hashes[2] = {&s->difference.a, &s->difference.b};
    int good = 1;
    for (int i = 0; i < 2 && good; ++i) {
        runs[i] = (ib_rerun){.step = s->difference.step,
                             .tensor = s->difference.tensor,
                             .part = s->difference.what == IB_TRACE_GRADIENT ? IB_PART_GRADIENT
                                                                             : IB_PART_VALUE};
        good = rerun_as_recorded(s, i, &runs[i]) == IB_OK && has_hash(&runs[i], hashes[i]);
    }
    if (good)
        compare_tensors(s, &runs[0], &runs[1]);
    free(runs[0].bits);
    free(runs[1].bits);
    return good;
}

/* ---- this machine -------------------------------------------------------------------------------
 */

static ib_status adopt(search *s, ib_error *err) {
    const ib_run *run = s->run[0];
    IB_TRY(ib_adopt_experiment(run, NULL, s->arguments, err));
    IB_TRY(ib_adopt_option("init-model", run->configuration, run->directory, s->arguments, err));
    return ib_adopt_option("data-dir", run->configuration, run->directory, s->arguments, err);
}

static int agrees_with(const search *s, const ib_rerun *rerun) {
    const ib_trace_difference *d = &s->difference;
    if (d->what == IB_TRACE_LOSS) {
        uint32_t bits;
        memcpy(&bits, &rerun->loss, sizeof bits);
        return bits == d->loss_a ? 1 : bits == d->loss_b ? 2 : 0;
    }
    return has_hash(rerun, &d->a) ? 1 : has_hash(rerun, &d->b) ? 2 : 0;
}

/* Not being able to is no failure of the comparison: it is said. */
static void ask_this_machine(search *s, int one, size_t element, int64_t difference) {
    ib_error why = {0};
    ib_rerun rerun = {.step = s->difference.step,
                      .tensor = s->difference.tensor,
                      .part = s->difference.what == IB_TRACE_GRADIENT ? IB_PART_GRADIENT
                                                                      : IB_PART_VALUE};
    ib_status status = adopt(s, &why);
    if (status == IB_OK)
        status = ib_rerun_to(&s->arguments->config, s->context, s->run[0]->experiment_sha256,
                             &rerun, &why);
    s->failed |= ib_error_is_memory(&why);
    if (status != IB_OK) {
        char *text = ib_format("this machine cannot do the run again: %s", ib_error_text(&why));
        say(s, "note", text == NULL ? NULL : json_string(text));
        free(text);
    } else {
        int agrees = agrees_with(s, &rerun);
        say(s, "machine", json_string(rerun.machine));
        say(s, "machine_agrees_with", json_integer(agrees));
        /* The trace says what shape the tensor has, and a file may say anything. */
        if (one && agrees > 0 && element < rerun.elements)
            say_bits(s, &rerun, agrees, element, difference);
        else if (!one && names_tensor(s) && !compare_both_reruns(s))
            note(s, "more than one element of the tensor differs, and this program does not "
                    "compute both: compare on the machine, or with the program, of the other run");
    }
    free(rerun.bits);
    ib_error_clear(&why);
}

static void say_difference(search *s) {
    const ib_trace_difference *d = &s->difference;
    size_t element = 0;
    int64_t difference = 0;
    say(s, "step", json_integer((json_int_t)d->step));
    say(s, "what", json_string(what_text(d->what)));
    if (d->what == IB_TRACE_LOSS)
        say(s, "bits", json_pack("[o, o]", bits_text(d->loss_a), bits_text(d->loss_b)));
    if (d->what == IB_TRACE_SAME)
        note(s, "the traces are the same: loss, gradients and weights of every step agree, what "
                "differs was made afterwards or is in the optimiser's state alone");
    if (d->what == IB_TRACE_LENGTH)
        note(s, "one trace has more steps; those in both are the same");
    if (d->what == IB_TRACE_SAME || d->what == IB_TRACE_LENGTH)
        return;
    int one = 0;
    if (names_tensor(s)) {
        const char *dot = strrchr(d->name, '.');
        say(s, "tensor", json_string(d->name));
        say(s, "layer",
            json_stringn(d->name, dot != NULL ? (size_t)(dot - d->name) : strlen(d->name)));
        say(s, "tensors_differing", json_integer((json_int_t)d->differing));
        s->rank = ib_trace_shape(s->trace[0], d->tensor, s->extents);
        s->elements = 1;
        for (size_t i = 0; i < s->rank; ++i)
            s->elements *= s->extents[i];
        one =
            s->rank > 0 && ib_tensor_hash_element(&d->a, &d->b, s->elements, &element, &difference);
    }
    if (one) {
        say_element(s, element);
        say(s, "elements_differing", json_integer(1));
    }
    ask_this_machine(s, one, element, difference);
}

static ib_status work(search *s, ib_error *err) {
    static const char *const KEYS[] = {"step",
                                       "what",
                                       "tensor",
                                       "layer",
                                       "tensors_differing",
                                       "element",
                                       "index",
                                       "elements_differing",
                                       "bits",
                                       "machine",
                                       "machine_agrees_with",
                                       "note",
                                       NULL};
    const char *result = ib_comparison_differing_result(s->run[0], s->run[1]);
    say(s, "result", result == NULL ? json_null() : json_string(result));
    json_t *metric;
    IB_TRY(ib_comparison_metrics(s->run[0], s->run[1], &metric, err));
    say(s, "metric", metric);
    for (size_t i = 0; KEYS[i] != NULL; ++i)
        say(s, KEYS[i], json_null());
    for (int i = 0; i < 2; ++i)
        IB_TRY(ib_run_trace_open(s->run[i], &s->trace[i], err));
    if (s->trace[0] == NULL || s->trace[1] == NULL) {
        note(s, "for the first step, tensor and element that differ both runs need a trace: "
                "isobit reproduce RUN --trace makes one, on each of the two machines");
        return IB_OK;
    }
    IB_TRY(ib_trace_compare(s->trace[0], s->trace[1], &s->difference, err));
    say_difference(s);
    return IB_OK;
}

ib_status ib_divergence_find(const ib_comparison *comparison, size_t first, size_t second,
                             ib_arguments *arguments, const ib_command_context *context,
                             json_t **divergence, ib_error *err) {
    search s = {.run = {&comparison->runs[first], &comparison->runs[second]},
                .arguments = arguments,
                .context = context,
                .found = json_object()};
    *divergence = s.found;
    say(&s, "runs", json_pack("[i, i]", (int)first + 1, (int)second + 1));
    ib_status status = s.found == NULL ? ib_fail_memory(err) : work(&s, err);
    if (status == IB_OK && s.failed)
        status = ib_fail_memory(err);
    ib_trace_free(s.trace[0]);
    ib_trace_free(s.trace[1]);
    return status;
}

/* ---- for people ---------------------------------------------------------------------------------
 */

static void print_bits(const json_t *divergence, FILE *out) {
    const json_t *bits = json_object_get(divergence, "bits");
    for (size_t i = 0; i < json_array_size(bits); ++i) {
        const char *text = json_string_value(json_array_get(bits, i));
        uint32_t word = (uint32_t)strtoul(text, NULL, 16);
        float value;
        memcpy(&value, &word, sizeof value);
        fprintf(
            out, "  [%lld] %s  %.9g\n",
            (long long)json_integer_value(json_array_get(json_object_get(divergence, "runs"), i)),
            text, (double)value);
    }
}

static void print_place(const json_t *divergence, FILE *out) {
    const char *what = ib_json_text_at(divergence, "what");
    const char *tensor = ib_json_text_at(divergence, "tensor");
    const json_t *element = json_object_get(divergence, "element");
    fprintf(out, "First difference: step %lld, %s",
            (long long)json_integer_value(json_object_get(divergence, "step")), what);
    if (tensor != NULL)
        fprintf(out, " of %s", tensor);
    if (json_is_integer(element)) {
        const json_t *index = json_object_get(divergence, "index");
        fprintf(out, ", element %lld = ", (long long)json_integer_value(element));
        for (size_t i = 0; i < json_array_size(index); ++i)
            fprintf(out, "%c%lld", i == 0 ? '[' : ',',
                    (long long)json_integer_value(json_array_get(index, i)));
        fputc(']', out);
    }
    fputc('\n', out);
    print_bits(divergence, out);
}

void ib_divergence_print(const json_t *divergence, const ib_comparison *comparison, FILE *out) {
    const json_t *runs = json_object_get(divergence, "runs");
    const json_t *metric = json_object_get(divergence, "metric");
    const json_t *agrees = json_object_get(divergence, "machine_agrees_with");
    const char *text = ib_json_text_at(divergence, "note");
    long long number[2];
    for (size_t i = 0; i < 2; ++i)
        number[i] = (long long)json_integer_value(json_array_get(runs, i));
    fprintf(out, "\nNOT THE SAME BITS: [%lld] and [%lld] are one experiment, but %s differs\n",
            number[0], number[1], ib_json_text_at(divergence, "result"));
    if (json_is_object(metric))
        fprintf(out, "In metrics.jsonl first: %s after step %lld\n", ib_json_text_at(metric, "key"),
                (long long)json_integer_value(json_object_get(metric, "step")));
    if (ib_json_text_at(divergence, "what") != NULL)
        print_place(divergence, out);
    if (json_is_integer(agrees)) {
        long long which = (long long)json_integer_value(agrees);
        const char *machine = ib_json_text_at(divergence, "machine");
        if (which == 0)
            fprintf(out, "This machine (%s) computes neither.\n", machine);
        else
            fprintf(out, "This machine (%s) computes what [%lld] has: %s\n", machine,
                    number[which - 1], comparison->runs[number[which - 1] - 1].directory);
    }
    if (text != NULL)
        fprintf(out, "%s\n", text);
}
