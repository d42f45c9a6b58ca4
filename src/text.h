/*
 * Text put together in a caller's buffer the way snprintf does it: what does
 * not fit is counted and not written, and the buffer stays terminated.
 */
#ifndef TN_SRC_TEXT_H
#define TN_SRC_TEXT_H

#include <stddef.h>

#include "compiler.h"

struct tn__text {
    char *buffer;
    size_t size;
    size_t length; /* of the whole text, whether it fits or not */
};

/* A NULL buffer counts only. */
void tn__text_init(struct tn__text *text, char *buffer, size_t size);
void tn__text_put(struct tn__text *text, const char *bytes, size_t count);
void tn__text_puts(struct tn__text *text, const char *string);
void tn__text_printf(struct tn__text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The string with everything that could break a line or a terminal made
 * visible: control characters, U+0080 to U+009F, the line and paragraph
 * separators and bytes that are not UTF-8 become \n, \r, \t or \xNN, and a
 * backslash is doubled.
 */
void tn__text_escape(struct tn__text *text, const char *string);

#endif
