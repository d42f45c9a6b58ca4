/*
 * A line of output under construction: bytes that grow as needed.
 */
#ifndef TNWATCH_TEXT_H
#define TNWATCH_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* All zero is an empty text. */
struct text {
    char *bytes;
    size_t length;
    size_t capacity;
    bool failed; /* no memory: part of the text is missing */
};

void text_clear(struct text *text);
void text_done(struct text *text);

void text_put(struct text *text, const char *bytes, size_t count);
void text_puts(struct text *text, const char *string);
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/*
 * The string, with what could break a line or a terminal made visible: control
 * characters, line separators and bytes that are not UTF-8 become \n, \r, \t or
 * \xNN, and a backslash is doubled. `printf %b` turns it back.
 */
void text_escape(struct text *text, const char *string);

/* Bytes of the UTF-8 character at the start; 0 if there is none. */
size_t text_utf8_length(const char *string, unsigned long *ret_point);

#endif
