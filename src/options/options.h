/* The command line as tables: one row an option, one row a command. The parser, --help, the manual
 * page, shell completion and the canonical dump are all generated from them. */
#ifndef IB_OPTIONS_OPTIONS_H
#define IB_OPTIONS_OPTIONS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"
#include "options/config.h"

typedef enum ib_option_kind {
    IB_OPTION_FLAG,           /* int, 1 when given */
    IB_OPTION_INT,            /* int64_t */
    IB_OPTION_UINT64,         /* uint64_t */
    IB_OPTION_DOUBLE,         /* double */
    IB_OPTION_CHOICE,         /* int, the chosen row's value */
    IB_OPTION_MODEL,          /* int, the chosen row's value; or a network's file: its text */
    IB_OPTION_NAME,           /* char *, one of the choices */
    IB_OPTION_STRING,         /* char *, anything but the empty string */
    IB_OPTION_NAME_OR_DOUBLE, /* char *, one of the choices or a number, in its shortest form */
} ib_option_kind;

/* One value of a choice. A choice with a refusal is known, but this version does not offer it. */
typedef struct ib_choice {
    const char *name; /* NULL: past the end */
    int value;
    int unlisted; /* accepted, but absent from help until it works */
    const char *refusal;
    ib_status refusal_status;
} ib_choice;
/* The index-th value, often a row of the catalogue. */
typedef ib_choice ib_choices(size_t index);

enum {
    IB_FOR_DATA = 1 << 0,
    IB_FOR_TRAIN = 1 << 1,
    IB_FOR_TEST = 1 << 2,
    IB_FOR_HASH = 1 << 3,
    IB_FOR_BENCH = 1 << 4,
    IB_FOR_DEVICES = 1 << 5,
    IB_FOR_COMPLETION = 1 << 6,
    IB_FOR_MANUAL = 1 << 7,
    IB_FOR_DESCRIBE = 1 << 8,
    IB_FOR_EXPORT = 1 << 9,
    IB_FOR_COMPARE = 1 << 14,
    IB_FOR_REPRODUCE = 1 << 15,
    IB_FOR_EXPERIMENT = 1 << 16,
    IB_FOR_SWEEP = 1 << 17,
    IB_FOR_REPORT = 1 << 18,
    IB_FOR_SYNC = 1 << 19,
    IB_FOR_COST = 1 << 20,
    IB_FOR_VERIFY = 1 << 21,
    IB_FOR_MODEL = 1 << 22,
};

enum { IB_MAX_ALIASES = 2, IB_MAX_IDLE = 3, IB_MAX_OPTIONS = 96 };

typedef enum ib_option_models { IB_ALL_MODELS, IB_NETWORKS_ONLY, IB_SVM_ONLY } ib_option_models;

/* What else decides whether an option means anything: rows of the catalogue that name it. */
typedef enum ib_option_of {
    IB_OF_ALL,
    IB_OF_OPTIMIZERS, /* has the default that the optimiser's row gives it */
    IB_OF_SCHEDULES,
    IB_OF_SVM_KERNELS,
} ib_option_of;

/* What must be there for it to do anything while a model is trained. */
typedef enum ib_option_needs {
    IB_NEEDS_NOTHING,
    IB_NEEDS_RECORD, /* a run record, which a dry run has not */
    IB_NEEDS_SERVER, /* and an MLflow server that it is sent to */
} ib_option_needs;

/* Whether an experiment file may give it. */
typedef enum ib_option_study {
    IB_STUDY_HASHED,       /* if it enters experiment_sha256; it then tells cells apart */
    IB_STUDY_NEVER,        /* the file says it otherwise */
    IB_STUDY_RECORD,       /* yes, though it changes no bits */
    IB_STUDY_MACHINE,      /* yes; it may be another where a stopped run goes on */
    IB_STUDY_MACHINE_GRID, /* the same, and it tells cells apart */
} ib_option_study;

typedef struct ib_option {
    const char *name; /* without "--" */
    const char *aliases[IB_MAX_ALIASES];
    char letter; /* 'o' where -o means the same */
    ib_option_kind kind;
    size_t offset;            /* in ib_config */
    const char *default_text; /* NULL: off, or not given */
    double minimum, maximum;  /* inclusive; for INT and DOUBLE */
    double least_above_zero;  /* of a DOUBLE that may be 0; 0: any */
    int minimum_excluded, maximum_excluded;
    ib_choices *choices; /* for CHOICE and NAME, NAME_OR_DOUBLE */
    const char *others;  /* of a NAME that may be none of the choices: what it is then; NULL: it may
                          * not */
    unsigned commands;   /* IB_FOR_... */
    ib_option_models models; /* which models it means something for */
    ib_option_of of;
    ib_option_needs needs;
    ib_option_study study;
    int unsaid; /* where it is 0, or no text, it is not in the canonical form: it came after the
                   others */
    /* Of a STRING: brings text into its one form, in fresh memory, or refuses it; NULL: any. */
    ib_status (*normal)(const char *text, const char *given_as, char **form, ib_error *err);
    int many;       /* of NAME_OR_DOUBLE: numbers with commas between them too */
    int by_content; /* hashed as the SHA-256 of the file that it names */
    /* Commands that take it, unless it is given, from the configuration in the record of the run or
     * the model they are for; training does when it goes on. */
    unsigned from_record;
    /* Commands with verbs that would ignore it: "bench roofline"; "..." is any one word. */
    const char *idle_in[IB_MAX_IDLE];
    const char *environment; /* a variable that replaces the default, or NULL */
    const char *placeholder; /* "N" in --epochs N */
    const char *group;       /* heading in --help */
    const char *help;
} ib_option;

/* The index-th option, NULL past the end. */
const ib_option *ib_option_at(size_t index);
/* By name or alias, NULL when there is none. */
const ib_option *ib_option_find(const char *name, size_t length);
/* The same among the options of a command (IB_FOR_... bit), where one has that name; two commands
 * may mean different things by one name. */
const ib_option *ib_option_find_for(const char *name, size_t length, unsigned command);
size_t ib_option_index(const ib_option *option);
/* Whether the option means anything for this model, optimiser, schedule and kernel. */
int ib_option_applies(const ib_option *option, const ib_experiment *experiment);
/* Whether its value decides which other options mean something. */
int ib_option_decides(const ib_option *option);
/* Whether it enters experiment_sha256: it is of ib_experiment. */
int ib_option_is_hashed(const ib_option *option);
/* The same by its value, not by the content of a file. */
int ib_option_is_arithmetic(const ib_option *option);
/* The text of a choice's value, NULL when there is none. */
const char *ib_option_value_name(const ib_option *option, int value);
/* Whether name belongs to an option of DESIGN's command line that this version does not have. */
int ib_option_is_later(const char *name, size_t length);
/* Optimisers that have this option, as "sgd" or "adadelta or adam"; fresh memory, NULL: out of it.
 */
char *ib_option_optimizers(const ib_option *option);
/* The default as text, for this optimiser; NULL: none. */
const char *ib_option_default(const ib_option *option, int optimizer);

typedef struct ib_command {
    const char *name;
    unsigned bit;                /* IB_FOR_... */
    const char *const *verbs[2]; /* fixed words after the name, NULL-terminated; NULL: none */
    const char *operand;         /* a free operand, such as MODEL.safetensors; NULL: none */
    int operand_required;
    const char *rest; /* any number of further operands, such as key=value; NULL: none */
    const char *summary;
    const char *details; /* a paragraph for --help and the manual */
} ib_command;

const ib_command *ib_command_at(size_t index);
const ib_command *ib_command_find(const char *name);
int ib_command_is_later(const char *name);
/* "data prepare|verify|show", into fresh memory; NULL when out of memory. */
char *ib_command_synopsis(const ib_command *command);

typedef enum ib_source { IB_FROM_DEFAULT, IB_FROM_ENVIRONMENT, IB_FROM_FLAG } ib_source;

/* A parsed command line. Words point into argv. */
typedef struct ib_arguments {
    const ib_command *command;
    ib_config config;
    unsigned char sources[IB_MAX_OPTIONS]; /* ib_source of each option row */
    const char **words;                    /* verbs, then operands; freed with the rest */
    size_t word_count;
    int help; /* --help was given: nothing else was checked */
} ib_arguments;

/* Parses the arguments after the command's name. Flags win over environment, environment over
 * defaults. getenv-like environment(name) may be NULL. The caller calls ib_arguments_free, also
 * after a failure. */
ib_status ib_arguments_parse(const ib_command *command, int count, const char *const *arguments,
                             char *(*environment)(const char *name), ib_arguments *parsed,
                             ib_error *err);
void ib_arguments_free(ib_arguments *parsed);

/* Gives one option a value from text, with every check of the parser. */
ib_status ib_option_set(const ib_option *option, const char *text, const char *given_as,
                        ib_config *config, ib_error *err);
/* --dataset FOLDER/NAME is --data-dir FOLDER --dataset NAME; dir_given: --data-dir was given too.
 */
ib_status ib_config_split_dataset(ib_config *config, int dir_given, ib_error *err);
/* How the option was set, by the name of its row. */
ib_source ib_arguments_source(const ib_arguments *parsed, const char *name);
/* All defaults; the caller calls ib_config_free. */
ib_status ib_config_defaults(ib_config *config, ib_error *err);
void ib_config_free(ib_config *config);

/* Text for people and shells. */
void ib_help_program(FILE *out);
ib_status ib_help_command(const ib_command *command, FILE *out, ib_error *err);
ib_status ib_help_manual(const char *version, FILE *out, ib_error *err);
ib_status ib_completion(const char *shell, FILE *out, ib_error *err);
/* Writes what a value of this option must be ("an integer from 1 to 100000"); fresh memory. */
char *ib_option_range(const ib_option *option);

#endif
