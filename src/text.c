#include "text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void tn__text_init(struct tn__text *text, char *buffer, size_t size)
{
    text->buffer = buffer;
    text->size = buffer != NULL ? size : 0;
    text->length = 0;
    if (text->size > 0)
        buffer[0] = '\0';
}

void tn__text_put(struct tn__text *text, const char *bytes, size_t count)
{
    if (text->length + 1 < text->size) {
        size_t fits = tn__min(count, text->size - 1 - text->length);

        memcpy(text->buffer + text->length, bytes, fits);
        text->buffer[text->length + fits] = '\0';
    }
    text->length += count;
}

void tn__text_puts(struct tn__text *text, const char *string)
{
    tn__text_put(text, string, strlen(string));
}

void tn__text_printf(struct tn__text *text, const char *format, ...)
{
    size_t used = tn__min(text->length, text->size);
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text->size > 0 ? text->buffer + used : NULL, text->size - used, format,
                           arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

/* How many bytes the UTF-8 character at the start has; 0 if it is none. */
static size_t utf8_length(const unsigned char *bytes, uint32_t *ret_point)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = bytes[0] < 0x80           ? 1
                    : (bytes[0] >> 5) == 0x06 ? 2
                    : (bytes[0] >> 4) == 0x0e ? 3
                    : (bytes[0] >> 3) == 0x1e ? 4
                                              : 0;
    if (length <= 1) {
        *ret_point = bytes[0];
        return length;
    }
    uint32_t point = bytes[0] & (0xffu >> (length + 1));
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

static void escape_byte(struct tn__text *text, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    char hex[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};

    switch (byte) {
    case '\n':
        tn__text_put(text, "\\n", 2);
        break;
    case '\r':
        tn__text_put(text, "\\r", 2);
        break;
    case '\t':
        tn__text_put(text, "\\t", 2);
        break;
    case '\\':
        tn__text_put(text, "\\\\", 2);
        break;
    default:
        tn__text_put(text, hex, sizeof(hex));
    }
}

static int is_plain(uint32_t point)
{
    return point >= 0x20 && point != '\\' && (point < 0x7f || point > 0x9f) && point != 0x2028 &&
           point != 0x2029;
}

void tn__text_escape(struct tn__text *text, const char *string)
{
    const unsigned char *at = (const unsigned char *)string;

    while (*at != '\0') {
        uint32_t point = 0;
        size_t length = utf8_length(at, &point);

        if (length > 0 && is_plain(point)) {
            tn__text_put(text, (const char *)at, length);
        } else {
            length = tn__max(length, 1);
            for (size_t i = 0; i < length; i++)
                escape_byte(text, at[i]);
        }
        at += length;
    }
}
