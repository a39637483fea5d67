/* gnuplot's SVG made a part of an HTML page: one drawing's ids must not meet another's, its colours
 * are the page's, and a reader who cannot see it gets a title and a sentence. */
#include <stdlib.h>
#include <string.h>

#include "report/canvas.h"
#include "report/markup.h"

static const struct {
    const char *written, *themed;
} colours[] = {
    {"black", "currentColor"},
    {"rgb(0,0,0)", "currentColor"},
    {"#FFFFFF", "none"},
    {"rgb(92,102,112)", "var(--muted)"},
    {"rgb(216,221,226)", "var(--rule)"},
    {"rgb(0,114,178)", "var(--s1)"},
    {"rgb(213,94,0)", "var(--s2)"},
    {"rgb(0,158,115)", "var(--s3)"},
    {"rgb(204,121,167)", "var(--s4)"},
    {"rgb(230,159,0)", "var(--s5)"},
    {"rgb(86,180,233)", "var(--s6)"},
    {"rgb(122,92,62)", "var(--s7)"},
};

static int is(const char *text, size_t size, const char *word) {
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

/* gnuplot aligns some colours' numbers by spaces. */
static int is_colour(const char *value, size_t size, const char *colour) {
    for (size_t i = 0; i < size; ++i)
        if (value[i] != ' ' && value[i] != *colour++)
            return 0;
    return *colour == '\0';
}

/* An attribute's value, between its quotes. */
static void write_value(FILE *out, const char *name, size_t name_size, const char *value,
                        size_t size, size_t number) {
    if (is(name, name_size, "id")) {
        fprintf(out, "f%zu-%.*s", number, (int)size, value);
        return;
    }
    if (is(name, name_size, "href") && size > 0 && value[0] == '#') {
        fprintf(out, "#f%zu-%.*s", number, (int)size - 1, value + 1);
        return;
    }
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; ++i)
        if (is_colour(value, size, colours[i].written)) {
            fputs(colours[i].themed, out);
            return;
        }
    fwrite(value, 1, size, out);
}

/* A tag from its '<' on; returns what follows its '>'. */
static const char *write_tag(FILE *out, const char *tag, size_t number) {
    const char *name = tag + 1;
    size_t name_size = 0;
    while (*tag != '\0' && *tag != '>') {
        if (strncmp(tag, "xlink:", 6) == 0) { /* HTML and SVG 2 have no need of it */
            tag += 6;
            name = tag;
            continue;
        }
        if (*tag != '"' && *tag != '\'') {
            if (*tag == '=') {
                name_size = (size_t)(tag - name);
                while (name_size > 0 && name[name_size - 1] == ' ')
                    --name_size;
            } else if (*tag == ' ' || *tag == '\n' || *tag == '\t') {
                if (tag[1] != '=' && tag[-1] != '=')
                    name = tag + 1;
            }
            fputc(*tag++, out);
            continue;
        }
        const char *end = strchr(tag + 1, *tag);
        if (end == NULL)
            break;
        fputc(*tag, out);
        write_value(out, name, name_size, tag + 1, (size_t)(end - tag - 1), number);
        fputc(*tag, out);
        tag = end + 1;
    }
    if (*tag == '>')
        fputc(*tag++, out);
    return tag;
}

static int starts(const char *text, const char *word) {
    return strncmp(text, word, strlen(word)) == 0;
}

/* Past the element, or where it starts when its end is not found. */
static const char *skip_element(const char *text, const char *end_tag) {
    const char *end = strstr(text, end_tag);
    return end != NULL ? end + strlen(end_tag) : text + 1;
}

static void write_head(FILE *out, const char *svg, const ib_report_figure *figure, size_t number) {
    const char *box = strstr(svg, "viewBox=\"");
    box = box != NULL ? box + strlen("viewBox=\"") : "0 0 1 1\"";
    fprintf(
        out,
        "<svg class=\"%s\" viewBox=\"%.*s\" role=\"img\" aria-labelledby=\"f%zu-title f%zu-desc\">",
        number % 2 ? "narrow" : "wide", (int)strcspn(box, "\""), box, number, number);
    fprintf(out, "<title id=\"f%zu-title\">", number);
    ib_write_markup(out, figure->title);
    fprintf(out, "</title><desc id=\"f%zu-desc\">", number);
    ib_write_markup(out, figure->description != NULL ? figure->description : figure->title);
    fputs("</desc>", out);
}

char *ib_svg_inline(const char *svg, const ib_report_figure *figure, size_t number, int narrow) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    number = 2 * number + (narrow != 0); /* of the ids */
    write_head(out, svg, figure, number);
    const char *at = strstr(svg, "<svg");
    at = at != NULL ? strchr(at, '>') : NULL;
    at = at != NULL ? at + 1 : "";
    while (*at != '\0') {
        if (starts(at, "<title>"))
            at = skip_element(at, "</title>");
        else if (starts(at, "<desc>"))
            at = skip_element(at, "</desc>");
        else if (starts(at, "<filter"))
            at = skip_element(at, "</filter>");
        else if (*at == '<')
            at = write_tag(out, at, number);
        else if ((*at == '\n' || *at == '\t') && (at[1] == '\n' || at[1] == '\t'))
            ++at;
        else
            fputc(*at++, out);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
