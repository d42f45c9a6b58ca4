/*
 * A recorded stream as text: one step a line, words between blanks, "#" begins a
 * comment. README.md beside this file says what the steps are.
 *
 * A file is read and checked as a whole before its first step is made.
 */
#ifndef TN_TESTS_REPLAY_SCRIPT_H
#define TN_TESTS_REPLAY_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "source/replay.h"

enum { SCRIPT_WORDS = 24 };

/* What a block may stand before. */
enum { CALL_BARRIER = TN__REPLAY_CALLS, CALLS };

struct line {
    const struct verb *verb;
    unsigned number;
    unsigned count;            /* of words, the verb's not among them */
    char *words[SCRIPT_WORDS]; /* NULL behind the last */
    size_t end;                /* of a block: the index of its "end" */
};

/*
 * A step. Each character of `words` says what a word is: p a path, o an object, m
 * a mask, f flags of an add, n a number, c a call, e the name of an errno, w
 * anything; what stands behind "[" may be left out, behind "*" any number follow.
 */
struct verb {
    const char *name, *words;
    void (*run)(const struct line *line);
    bool in_block; /* it may also stand in one */
};

struct script {
    struct line *lines;
    size_t count;
    char *text;
};

/* "FILE:LINE: " and the text; status 1: the test fails, 2: the file is malformed. */
noreturn void script_fail(const struct line *line, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same without an end. */
void script_tell(const struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* verbs ends with a name that is NULL; the one of blocks is "before". */
void script_load(struct script *script, const char *file, const struct verb *verbs);
void script_done(struct script *script);

/* Of words that were checked. */
uint64_t script_number(const char *word);
uint32_t script_mask(const char *word);
uint32_t script_flags(const char *word);
int script_call(const char *word);
int script_errno(const char *word);

#endif
