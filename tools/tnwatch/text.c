#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void text_clear(struct text *text)
{
    text->length = 0;
    text->failed = false;
}

void text_done(struct text *text)
{
    free(text->bytes);
    *text = (struct text){.bytes = NULL};
}

/* Room for count bytes and a terminator. */
static bool reserve(struct text *text, size_t count)
{
    if (text->failed || count >= SIZE_MAX / 2 - text->length) {
        text->failed = true;
        return false;
    }
    size_t needed = text->length + count + 1;
    if (needed <= text->capacity)
        return true;
    size_t capacity = needed < 256 ? 512 : 2 * needed;
    char *bytes = realloc(text->bytes, capacity);
    if (bytes == NULL) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void text_put(struct text *text, const char *bytes, size_t count)
{
    if (!reserve(text, count))
        return;
    memcpy(text->bytes + text->length, bytes, count);
    text->length += count;
    text->bytes[text->length] = '\0';
}

void text_puts(struct text *text, const char *string)
{
    text_put(text, string, strlen(string));
}

void text_vprintf(struct text *text, const char *format, va_list arguments)
{
    va_list again;

    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0 || !reserve(text, (size_t)length))
        return;
    vsnprintf(text->bytes + text->length, (size_t)length + 1, format, arguments);
    text->length += (size_t)length;
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    text_vprintf(text, format, arguments);
    va_end(arguments);
}

size_t text_utf8_length(const char *string, unsigned long *ret_point)
{
    static const unsigned long lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)string;
    size_t length = bytes[0] < 0x80           ? 1
                    : (bytes[0] >> 5) == 0x06 ? 2
                    : (bytes[0] >> 4) == 0x0e ? 3
                    : (bytes[0] >> 3) == 0x1e ? 4
                                              : 0;
    if (length <= 1) {
        *ret_point = bytes[0];
        return length;
    }
    unsigned long point = bytes[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (bytes[i] & 0x3fu);
    }
    if (point < lowest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *ret_point = point;
    return length;
}

static bool is_plain(unsigned long point)
{
    return point >= 0x20 && point != '\\' && (point < 0x7f || point > 0x9f) && point != 0x2028 &&
           point != 0x2029;
}

static void escape_byte(struct text *text, unsigned char byte)
{
    switch (byte) {
    case '\n':
        text_puts(text, "\\n");
        break;
    case '\r':
        text_puts(text, "\\r");
        break;
    case '\t':
        text_puts(text, "\\t");
        break;
    case '\\':
        text_puts(text, "\\\\");
        break;
    default:
        text_printf(text, "\\x%02x", byte);
    }
}

void text_escape(struct text *text, const char *string)
{
    while (*string != '\0') {
        unsigned long point = 0;
        size_t length = text_utf8_length(string, &point);

        if (length > 0 && is_plain(point)) {
            text_put(text, string, length);
            string += length;
            continue;
        }
        size_t end = length > 0 ? length : 1;
        for (size_t i = 0; i < end; i++)
            escape_byte(text, (unsigned char)string[i]);
        string += end;
    }
}
