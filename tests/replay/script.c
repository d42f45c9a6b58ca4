#include "script.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tnotify/tnotify.h>

enum { ERRNOS = 200, MALFORMED = 2 };

static const char *file_name = "replay";

static void put_text(const struct line *line, const char *format, va_list arguments)
{
    fprintf(stderr, "%s:%u: ", file_name, line->number);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void script_tell(const struct line *line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    put_text(line, format, arguments);
    va_end(arguments);
}

noreturn void script_fail(const struct line *line, int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    put_text(line, format, arguments);
    va_end(arguments);
    exit(status);
}

static bool read_number(const char *word, uint64_t *ret_number)
{
    char *end;

    errno = 0;
    unsigned long long number = strtoull(word, &end, 10);
    if (!isdigit((unsigned char)*word) || *end || errno)
        return false;
    *ret_number = number;
    return true;
}

uint64_t script_number(const char *word)
{
    uint64_t number = 0;

    read_number(word, &number);
    return number;
}

uint32_t script_mask(const char *word)
{
    uint32_t mask = 0;

    tn_mask_parse(word, &mask);
    return mask;
}

static bool read_flags(const char *word, uint32_t *ret_flags)
{
    static const struct {
        const char *name;
        uint32_t flags;
    } known[] = {{"none", 0},
                 {"tree", TN_WATCH_TREE},
                 {"recursive", TN_WATCH_RECURSIVE},
                 {"auto-add", TN_WATCH_AUTO_ADD},
                 {"snapshot", TN_WATCH_SNAPSHOT},
                 {"follow-name", TN_WATCH_FOLLOW_NAME},
                 {"existing", TN_WATCH_EXISTING}};
    const size_t count = sizeof(known) / sizeof(*known);

    for (*ret_flags = 0;; word++) {
        size_t length = strcspn(word, "|"), i = 0;
        while (i < count &&
               (strlen(known[i].name) != length || strncmp(word, known[i].name, length) != 0))
            i++;
        if (i == count)
            return false;
        *ret_flags |= known[i].flags;
        word += length;
        if (!*word)
            return true;
    }
}

uint32_t script_flags(const char *word)
{
    uint32_t flags = 0;

    read_flags(word, &flags);
    return flags;
}

int script_call(const char *word)
{
    static const char *const names[CALLS] = {[TN__REPLAY_READ] = "read",
                                             [TN__REPLAY_WATCH] = "watch",
                                             [TN__REPLAY_UNWATCH] = "unwatch",
                                             [TN__REPLAY_MARK] = "mark",
                                             [CALL_BARRIER] = "barrier"};

    for (int call = 0; call < CALLS; call++)
        if (strcmp(word, names[call]) == 0)
            return call;
    return -1;
}

int script_errno(const char *word)
{
    for (int error = 1; error < ERRNOS; error++) {
        const char *name = strerrorname_np(error);
        if (name && strcmp(word, name) == 0)
            return error;
    }
    return 0;
}

static const char *what_is_wrong(char kind, const char *word)
{
    uint64_t number;
    uint32_t bits;

    switch (kind) {
    case 'p':
        return *word == '/' || *word == '@' ? "no path below the scratch directory" : NULL;
    case 'o':
        return *word == '/' ? "no object" : NULL;
    case 'm':
        return tn_mask_parse(word, &bits) < 0 ? "no mask" : NULL;
    case 'f':
        return read_flags(word, &bits) ? NULL : "no flags of an add";
    case 'n':
        return read_number(word, &number) ? NULL : "no number";
    case 'c':
        return script_call(word) < 0 ? "no call" : NULL;
    case 'e':
        return script_errno(word) ? NULL : "no name of an errno";
    default:
        return NULL;
    }
}

static void check_words(const struct line *line)
{
    const char *kinds = line->verb->words;
    bool optional = false;

    for (unsigned i = 0; i < line->count; i++) {
        while (*kinds == '[') {
            optional = true;
            kinds++;
        }
        if (*kinds == '*')
            return;
        if (!*kinds)
            script_fail(line, MALFORMED, "%s: \"%s\" is too much", line->verb->name,
                        line->words[i]);
        const char *wrong = what_is_wrong(*kinds++, line->words[i]);
        if (wrong)
            script_fail(line, MALFORMED, "%s: \"%s\" is %s", line->verb->name, line->words[i],
                        wrong);
    }
    if (!optional && *kinds && *kinds != '[' && *kinds != '*')
        script_fail(line, MALFORMED, "%s: something is missing", line->verb->name);
}

static void split(struct line *line, char *text, const struct verb *verbs)
{
    char *rest, *word = strtok_r(text, " \t", &rest);

    for (line->verb = verbs; line->verb->name; line->verb++)
        if (strcmp(line->verb->name, word) == 0)
            break;
    if (!line->verb->name)
        script_fail(line, MALFORMED, "\"%s\" is no step", word);
    while ((word = strtok_r(NULL, " \t", &rest)) && *word != '#') {
        if (line->count == SCRIPT_WORDS - 1)
            script_fail(line, MALFORMED, "too many words");
        line->words[line->count++] = word;
    }
    check_words(line);
}

static char *read_whole(const char *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *in = fopen(file, "re");

    if (!in || getdelim(&text, &size, '\0', in) < 0) {
        fprintf(stderr, "%s: %s\n", file, in && feof(in) ? "nothing in it" : strerror(errno));
        exit(MALFORMED);
    }
    fclose(in);
    return text;
}

/* Where each block ends, and what may stand in one. */
static void check_blocks(struct script *script)
{
    struct line *block = NULL;

    for (size_t i = 0; i < script->count; i++) {
        struct line *line = &script->lines[i];
        if (strcmp(line->verb->name, "before") == 0) {
            if (block)
                script_fail(line, MALFORMED, "a block in a block");
            block = line;
        } else if (strcmp(line->verb->name, "end") == 0) {
            if (!block)
                script_fail(line, MALFORMED, "no block begins");
            block->end = i;
            block = NULL;
        } else if (block && !line->verb->in_block) {
            script_fail(line, MALFORMED, "%s can't stand in a block", line->verb->name);
        }
    }
    if (block)
        script_fail(block, MALFORMED, "the block has no end");
}

void script_load(struct script *script, const char *file, const struct verb *verbs)
{
    unsigned number = 0;

    file_name = file;
    *script = (struct script){.text = read_whole(file)};
    for (char *at = script->text, *next; at && *at; at = next) {
        next = strchr(at, '\n');
        if (next)
            *next++ = '\0';
        number++;
        at += strspn(at, " \t");
        if (!*at || *at == '#')
            continue;
        struct line *lines = reallocarray(script->lines, script->count + 1, sizeof(*script->lines));
        if (!lines)
            exit(MALFORMED);
        script->lines = lines;
        lines[script->count] = (struct line){.number = number};
        split(&lines[script->count++], at, verbs);
    }
    check_blocks(script);
    if (script->count == 0) {
        fprintf(stderr, "%s: nothing in it\n", file);
        exit(MALFORMED);
    }
}

void script_done(struct script *script)
{
    free(script->lines);
    free(script->text);
}
