#include "mask.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <tnotify/event.h>

static const struct mask_name {
    const char *name;
    uint32_t mask;
} names[] = {
    {"IN_ACCESS", IN_ACCESS},
    {"IN_MODIFY", IN_MODIFY},
    {"IN_ATTRIB", IN_ATTRIB},
    {"IN_CLOSE_WRITE", IN_CLOSE_WRITE},
    {"IN_CLOSE_NOWRITE", IN_CLOSE_NOWRITE},
    {"IN_OPEN", IN_OPEN},
    {"IN_MOVED_FROM", IN_MOVED_FROM},
    {"IN_MOVED_TO", IN_MOVED_TO},
    {"IN_CREATE", IN_CREATE},
    {"IN_DELETE", IN_DELETE},
    {"IN_DELETE_SELF", IN_DELETE_SELF},
    {"IN_MOVE_SELF", IN_MOVE_SELF},
    {"IN_UNMOUNT", IN_UNMOUNT},
    {"IN_Q_OVERFLOW", IN_Q_OVERFLOW},
    {"IN_IGNORED", IN_IGNORED},
    {"IN_ONLYDIR", IN_ONLYDIR},
    {"IN_DONT_FOLLOW", IN_DONT_FOLLOW},
    {"IN_EXCL_UNLINK", IN_EXCL_UNLINK},
    {"IN_MASK_CREATE", IN_MASK_CREATE},
    {"IN_MASK_ADD", IN_MASK_ADD},
    {"IN_ISDIR", IN_ISDIR},
    {"IN_ONESHOT", IN_ONESHOT},
};

/* Understood by tn_mask_parse only. */
static const struct mask_name groups[] = {
    {"IN_ALL_EVENTS", IN_ALL_EVENTS},
    {"IN_CLOSE", IN_CLOSE},
    {"IN_MOVE", IN_MOVE},
};

const char *tn_mask_name(uint32_t mask)
{
    for (size_t i = 0; i < TN__COUNT(names); i++)
        if ((mask & TN__MASK_EVENTS & names[i].mask) != 0)
            return names[i].name;
    return "IN_UNKNOWN";
}

void tn__mask_put(struct tn__text *text, uint32_t mask)
{
    const char *separator = "";
    uint32_t rest = mask;

    for (size_t i = 0; i < TN__COUNT(names); i++) {
        if ((mask & names[i].mask) == 0)
            continue;
        tn__text_puts(text, separator);
        tn__text_puts(text, names[i].name);
        separator = "|";
        rest &= ~names[i].mask;
    }
    if (rest != 0)
        tn__text_printf(text, "%s0x%x", separator, rest);
    else if (mask == 0)
        tn__text_puts(text, "0");
}

size_t tn_mask_format(uint32_t mask, char *buffer, size_t size)
{
    struct tn__text text;

    tn__text_init(&text, buffer, size);
    tn__mask_put(&text, mask);
    return text.length;
}

/* ASCII only, whatever the locale. */
static char upper(char c)
{
    return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

static bool is_name(const char *name, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (name[i] == '\0' || upper(word[i]) != name[i])
            return false;
    return name[length] == '\0';
}

static bool find_name(const struct mask_name *table, size_t count, const char *word, size_t length,
                      uint32_t *ret_mask)
{
    for (size_t i = 0; i < count; i++) {
        if (is_name(table[i].name, word, length) || is_name(table[i].name + 3, word, length)) {
            *ret_mask = table[i].mask;
            return true;
        }
    }
    return false;
}

/* 0x and one to eight hexadecimal digits, or 0: what tn_mask_format writes. */
static bool read_number(const char *word, size_t length, uint32_t *ret_mask)
{
    uint32_t value = 0;

    if (length == 1 && word[0] == '0') {
        *ret_mask = 0;
        return true;
    }
    if (length < 3 || length > 10 || word[0] != '0' || upper(word[1]) != 'X')
        return false;
    for (size_t i = 2; i < length; i++) {
        char c = upper(word[i]);

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint32_t)(c - '0');
        else if (c >= 'A' && c <= 'F')
            value = value << 4 | (uint32_t)(c - 'A' + 10);
        else
            return false;
    }
    *ret_mask = value;
    return true;
}

int tn_mask_parse(const char *text, uint32_t *ret_mask)
{
    uint32_t mask = 0;

    if (text == NULL || ret_mask == NULL)
        return -EINVAL;
    for (;;) {
        text += strspn(text, " \t\r\n");
        size_t whole = strcspn(text, ",|");
        size_t length = whole;
        uint32_t bits;

        while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
            length--;
        if (!find_name(names, TN__COUNT(names), text, length, &bits) &&
            !find_name(groups, TN__COUNT(groups), text, length, &bits) &&
            !read_number(text, length, &bits))
            return -EINVAL;
        mask |= bits;
        if (text[whole] == '\0')
            break;
        text += whole + 1;
    }
    *ret_mask = mask;
    return 0;
}
