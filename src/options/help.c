/* --help and the manual page. */
#include "options/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { HELP_COLUMN = 28, HELP_WIDTH = 96 };

/* Words of text from column on, broken before HELP_WIDTH; at is where the cursor stands. */
static void print_wrapped(FILE *out, const char *text, size_t column, size_t at) {
    int first = 1;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (!first && at + 1 + length > HELP_WIDTH) {
            fprintf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (!first) {
            fputc(' ', out);
            ++at;
        }
        fwrite(text, 1, length, out);
        at += length;
        text += length;
        text += strspn(text, " ");
        first = 0;
    }
    fputc('\n', out);
}

/* Takes ownership of text; NULL stays NULL. */
static char *extend(char *text, const char *separator, const char *more) {
    char *longer = text == NULL ? NULL : ib_format("%s%s%s", text, separator, more);
    free(text);
    return longer;
}

/* "which images to use [one of ...; default mnist; environment ISOBIT_X]"; fresh memory. */
static char *describe(const ib_option *option) {
    char *range = ib_option_range(option);
    char *text = ib_format("%s", option->help);
    const char *separator = " [";
    int has_range = option->kind != IB_OPTION_FLAG && option->kind != IB_OPTION_STRING;
    if (has_range && range != NULL) {
        text = extend(text, separator, range);
        separator = "; ";
    }
    free(range);
    if (option->default_text != NULL) {
        text = extend(text, separator, "default ");
        text = extend(text, "", option->default_text);
        separator = "; ";
    }
    const ib_optimizer *optimizer;
    for (size_t i = 0; (optimizer = ib_optimizer_at(i)) != NULL; ++i) {
        const char *value = ib_optimizer_default((ib_optimizer_kind)i, option->name);
        if (value == NULL)
            continue;
        text = extend(text, separator, optimizer->name);
        text = extend(text, ": ", value);
        separator = ", ";
    }
    if (option->environment != NULL) {
        text = extend(text, separator, "environment ");
        text = extend(text, "", option->environment);
        separator = "; ";
    }
    for (size_t a = 0; a < IB_MAX_ALIASES && option->aliases[a] != NULL; ++a) {
        text = extend(text, separator, "also --");
        text = extend(text, "", option->aliases[a]);
        separator = ", ";
    }
    return strcmp(separator, " [") == 0 ? text : extend(text, "", "]");
}

static ib_status print_option(const ib_option *option, FILE *out, ib_error *err) {
    char *text = describe(option);
    if (text == NULL)
        return ib_fail_memory(err);
    int width = fprintf(out, "  --%s%s%s", option->name, option->placeholder != NULL ? " " : "",
                        option->placeholder != NULL ? option->placeholder : "");
    if (width + 2 > HELP_COLUMN)
        width = fprintf(out, "\n") - 1;
    fprintf(out, "%*s", HELP_COLUMN - width, "");
    print_wrapped(out, text, HELP_COLUMN, HELP_COLUMN);
    free(text);
    return IB_OK;
}

/* The first option of a group that the command takes stands for the group. */
static int starts_group(const ib_option *option, const ib_command *command) {
    for (size_t i = 0; i < ib_option_index(option); ++i) {
        const ib_option *earlier = ib_option_at(i);
        if ((earlier->commands & command->bit) != 0 && strcmp(earlier->group, option->group) == 0)
            return 0;
    }
    return 1;
}

static int takes_options(const ib_command *command) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if ((option->commands & command->bit) != 0)
            return 1;
    return 0;
}

ib_status ib_help_command(const ib_command *command, FILE *out, ib_error *err) {
    char *synopsis = ib_command_synopsis(command);
    if (synopsis == NULL)
        return ib_fail_memory(err);
    fprintf(out, "usage: isobit %s%s\n\n", synopsis, takes_options(command) ? " [options]" : "");
    free(synopsis);
    print_wrapped(out, command->details, 0, 0);
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if ((option->commands & command->bit) == 0)
            continue;
        if (starts_group(option, command))
            fprintf(out, "\n%s:\n", option->group);
        IB_TRY(print_option(option, out, err));
    }
    fputs("\nAlso: --help. Options may be written --name VALUE or --name=VALUE.\n", out);
    return IB_OK;
}

void ib_help_program(FILE *out) {
    fputs("usage: isobit COMMAND [options]\n\n"
          "Trains the models of the MNIST literature so that the same seed gives the same bits on\n"
          "every machine.\n\nCommands:\n",
          out);
    const ib_command *command;
    for (size_t i = 0; (command = ib_command_at(i)) != NULL; ++i)
        fprintf(out, "  %-12s %s\n", command->name, command->summary);
    fputs("\n'isobit COMMAND --help' lists a command's options; 'isobit --version' says what this "
          "is.\n"
          "\nStart with:\n"
          "  isobit data prepare --dataset mnist\n"
          "  isobit train --dataset mnist --model cnn --epochs 5\n"
          "\nExit codes: 0 done, 1 failed, 2 usage, 3 data or model failed verification, 4 "
          "diverged,\n"
          "5 not reproduced, 6 backend or instruction set not available, 130 and 143\n"
          "interrupted.\n",
          out);
}

/* Text with roff's special characters escaped. */
static void print_roff(FILE *out, const char *text) {
    for (; *text != '\0'; ++text) {
        if (*text == '-' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static ib_status manual_command(const ib_command *command, FILE *out, ib_error *err) {
    char *synopsis = ib_command_synopsis(command);
    if (synopsis == NULL)
        return ib_fail_memory(err);
    fputs(".SS isobit ", out);
    print_roff(out, synopsis);
    free(synopsis);
    fputs("\n", out);
    print_roff(out, command->details);
    fputs("\n", out);
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if ((option->commands & command->bit) == 0)
            continue;
        char *text = describe(option);
        if (text == NULL)
            return ib_fail_memory(err);
        fputs(".TP\n.B \\-\\-", out);
        print_roff(out, option->name);
        if (option->placeholder != NULL)
            fprintf(out, " \\fI%s\\fR", option->placeholder);
        fputs("\n", out);
        print_roff(out, text);
        fputs("\n", out);
        free(text);
    }
    return IB_OK;
}

ib_status ib_help_manual(const char *version, FILE *out, ib_error *err) {
    fprintf(out, ".TH ISOBIT 1 \"\" \"isobit %s\" \"User Commands\"\n", version);
    fputs(".SH NAME\nisobit \\- MNIST\\-family training that gives the same bits on every machine\n"
          ".SH SYNOPSIS\n.B isobit\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n.SH COMMANDS\n",
          out);
    const ib_command *command;
    for (size_t i = 0; (command = ib_command_at(i)) != NULL; ++i)
        IB_TRY(manual_command(command, out, err));
    fputs(".SH EXIT STATUS\n", out);
#define MANUAL_STATUS(name, value, text)                                                           \
    if (name != IB_ERROR_SOAK) /* of a command that is still to come */                            \
        fprintf(out, ".TP\n.B %d\n%s\n", value, text);
    IB_STATUS_TABLE(MANUAL_STATUS)
#undef MANUAL_STATUS
    fputs(".SH ENVIRONMENT\n", out);
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if (option->environment == NULL)
            continue;
        fprintf(out, ".TP\n.B %s\ndefault of \\-\\-", option->environment);
        print_roff(out, option->name);
        fputs("\n", out);
    }
    return IB_OK;
}
