/* A table as RFC 4180 has it. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/number.h"
#include "report/write.h"

static void write_field(FILE *out, const char *text) {
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; ++text) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

ib_status ib_report_write_csv(const ib_report_table *table, const char *path, ib_error *err) {
    ib_atomic_file file;
    IB_TRY(ib_atomic_open(&file, path, err));
    for (size_t c = 0; c < table->column_count; ++c) {
        fputs(c > 0 ? "," : "", file.stream);
        write_field(file.stream, table->columns[c].key);
    }
    fputs("\r\n", file.stream);
    for (size_t r = 0; r < table->row_count; ++r) {
        for (size_t c = 0; c < table->column_count; ++c) {
            const ib_report_value *value = &table->values[r * table->column_count + c];
            char number[IB_DOUBLE_TEXT];
            fputs(c > 0 ? "," : "", file.stream);
            if (isnan(value->value)) {
                write_field(file.stream, value->text);
            } else {
                ib_print_double(value->value, number);
                fputs(number, file.stream);
            }
        }
        fputs("\r\n", file.stream);
    }
    return ib_atomic_commit(&file, err);
}
