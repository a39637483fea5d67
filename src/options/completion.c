/* Completion scripts, generated from the tables so that they cannot fall behind. */
#include "options/options.h"

#include <string.h>

static void print_choices(FILE *out, ib_choices *choices) {
    const char *separator = "";
    ib_choice choice;
    for (size_t i = 0; (choice = choices(i)).name != NULL; ++i) {
        if (choice.unlisted || choice.refusal != NULL)
            continue;
        fprintf(out, "%s%s", separator, choice.name);
        separator = " ";
    }
}

static void print_option_names(FILE *out, const ib_command *command) {
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i)
        if ((option->commands & command->bit) != 0)
            fprintf(out, "--%s ", option->name);
    fputs("--help", out);
}

/* What an option's value may be completed with: names, files, or nothing. */
static int takes_path(const ib_option *option) {
    return option->kind == IB_OPTION_STRING && option->normal == NULL;
}

static void print_words(FILE *out, const char *const *words) {
    for (size_t w = 0; words[w] != NULL; ++w)
        fprintf(out, "%s%s", w == 0 ? "" : " ", words[w]);
}

static size_t verb_count(const ib_command *command) {
    size_t count = 0;
    while (count < 2 && command->verbs[count] != NULL)
        ++count;
    return count;
}

/* bash, and zsh through bashcompinit's model: one function with two case tables. */
static void print_bash_function(FILE *out) {
    fputs("_isobit() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local command=${COMP_WORDS[1]} words=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -gt 2 ]; then\n"
          "        case $prev in\n",
          out);
    const ib_option *option;
    for (size_t i = 0; (option = ib_option_at(i)) != NULL; ++i) {
        if (option->kind == IB_OPTION_FLAG)
            continue;
        fprintf(out, "        --%s) ", option->name);
        if (option->choices != NULL) {
            fputs("COMPREPLY=($(compgen -W '", out);
            print_choices(out, option->choices);
            fputs("' -- \"$cur\")); return ;;\n", out);
        } else {
            fputs(takes_path(option) ? "COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
                                     : "return ;;\n",
                  out);
        }
    }
    fputs("        esac\n    fi\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='", out);
    const ib_command *command;
    for (size_t i = 0; (command = ib_command_at(i)) != NULL; ++i)
        fprintf(out, "%s ", command->name);
    fputs("--help --version'\n    else\n        case $command in\n", out);
    for (size_t i = 0; (command = ib_command_at(i)) != NULL; ++i) {
        fprintf(out, "        %s) words='", command->name);
        print_option_names(out, command);
        fputs("'\n", out);
        for (size_t v = 0; v < 2 && command->verbs[v] != NULL; ++v) {
            fprintf(out, "            [ \"$COMP_CWORD\" -eq %zu ] && words='", v + 2);
            print_words(out, command->verbs[v]);
            fputs("'\n", out);
        }
        if (command->operand != NULL)
            fprintf(out,
                    "            [ \"$COMP_CWORD\" -gt %zu ] && COMPREPLY=($(compgen -f -- "
                    "\"$cur\"))\n",
                    verb_count(command) + 1);
        fputs("            ;;\n", out);
    }
    fputs("        esac\n    fi\n"
          "    COMPREPLY+=($(compgen -W \"$words\" -- \"$cur\"))\n}\n",
          out);
}

/* A single-quoted text for fish. */
static void print_fish_text(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text != '\0'; ++text) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('\'', out);
}

static void print_fish_option(FILE *out, const ib_command *command, const ib_option *option) {
    fprintf(out, "complete -c isobit -n '__fish_seen_subcommand_from %s' -l %s", command->name,
            option->name);
    if (option->choices != NULL) {
        fputs(" -x -a '", out);
        print_choices(out, option->choices);
        fputs("'", out);
    } else if (option->kind != IB_OPTION_FLAG) {
        fputs(takes_path(option) ? " -r -F" : " -x", out);
    }
    fputs(" -d ", out);
    print_fish_text(out, option->help);
    fputs("\n", out);
}

/* The beginning of a rule for what follows the command and so many of its verbs. */
static void print_fish_place(FILE *out, const ib_command *command, size_t verbs) {
    fprintf(out, "complete -c isobit -n '__fish_seen_subcommand_from %s", command->name);
    for (size_t v = 0; v <= verbs && v < verb_count(command); ++v) {
        fprintf(out, "; and %s__fish_seen_subcommand_from ", v == verbs ? "not " : "");
        print_words(out, command->verbs[v]);
    }
    fputs("'", out);
}

static void print_fish(FILE *out) {
    const ib_command *command;
    fputs("complete -c isobit -f\n", out);
    for (size_t i = 0; (command = ib_command_at(i)) != NULL; ++i) {
        fprintf(out, "complete -c isobit -n __fish_use_subcommand -a %s -d ", command->name);
        print_fish_text(out, command->summary);
        fputs("\n", out);
        size_t verbs = verb_count(command);
        for (size_t v = 0; v < verbs; ++v) {
            print_fish_place(out, command, v);
            fputs(" -a '", out);
            print_words(out, command->verbs[v]);
            fputs("'\n", out);
        }
        if (command->operand != NULL) {
            print_fish_place(out, command, verbs);
            fputs(" -F\n", out);
        }
        const ib_option *option;
        for (size_t o = 0; (option = ib_option_at(o)) != NULL; ++o)
            if ((option->commands & command->bit) != 0)
                print_fish_option(out, command, option);
    }
}

ib_status ib_completion(const char *shell, FILE *out, ib_error *err) {
    if (strcmp(shell, "bash") == 0) {
        print_bash_function(out);
        fputs("complete -F _isobit isobit\n", out);
        return IB_OK;
    }
    if (strcmp(shell, "zsh") == 0) {
        fputs("#compdef isobit\nautoload -U +X bashcompinit && bashcompinit\n", out);
        print_bash_function(out);
        /* The first completion loads the file as a function, and must complete, too. */
        fputs("complete -F _isobit isobit\n"
              "[ \"${funcstack[1]}\" = _isobit ] && _bash_complete -F _isobit\n",
              out);
        return IB_OK;
    }
    if (strcmp(shell, "fish") == 0) {
        print_fish(out);
        return IB_OK;
    }
    return ib_fail(err, IB_ERROR_USAGE, "no completion for shell '%s': use bash, zsh or fish",
                   shell);
}
