/*
 * Plays a recorded stream (README.md). Exit status: 0; 1: something differs; 2:
 * the file is malformed; 77: the file system can't do what it wants.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tnotify/notifier.h>

#include "files.h"
#include "stage.h"
#include "told.h"

/* Without a function: what is told, together with the lines beside it. */
static const struct verb verbs[] = {
    {"mkdir", "p", files_mkdir, true},
    {"rmdir", "p", files_rmdir, true},
    {"create", "p", files_create, true},
    {"write", "p", files_write, true},
    {"unlink", "p", files_unlink, true},
    {"remove", "p", files_remove, true},
    {"rename", "pp", files_rename, true},
    {"exchange", "pp", files_exchange, true},
    {"symlink", "wp", files_symlink, true},
    {"link", "pp", files_link, true},
    {"label", "wp", stage_label, true},
    {"record", "om[ww", stage_record, true},
    {"overflow", "", stage_overflow, true},
    {"unwatch", "p[w", stage_unwatch, true},
    {"fail", "cen", stage_fail, true},
    {"next-key", "o", stage_next_key, true},
    {"add", "pfm[ww", stage_add, false},
    {"before", "cn", stage_before, false},
    {"end", "", NULL, false},
    {"read", "", stage_read, false},
    {"settle", "", stage_settle, false},
    {"expect", "ww[*", NULL, false},
    {"any", "ww[*", NULL, false},
    {"nothing", "", NULL, false},
    {"anything", "", stage_anything, false},
    {"watched", "[*", stage_watched, false},
    {"stats", "wn", stage_stats, false},
    {"unchecked", "w[*", NULL, false},
    {"move-timeout", "n", NULL, false},
    {NULL, NULL, NULL, false},
};

static bool is(const struct line *line, const char *verb)
{
    return strcmp(line->verb->name, verb) == 0;
}

static bool expects(const struct line *line)
{
    return is(line, "expect") || is(line, "any") || is(line, "nothing");
}

/* The line of a verb that holds for the whole script; NULL: there is none. */
static const struct line *find(const struct script *script, const char *verb)
{
    for (size_t i = 0; i < script->count; i++)
        if (is(&script->lines[i], verb))
            return &script->lines[i];
    return NULL;
}

static void check(const struct script *script)
{
    for (size_t i = 0; i < script->count; i++)
        if (expects(&script->lines[i]))
            told_check_words(&script->lines[i]);
    if (!find(script, "watched"))
        script_fail(&script->lines[script->count - 1], 2, "no line says what is watched");
}

static void play(const struct script *script)
{
    size_t i = 0;

    while (i < script->count) {
        const struct line *line = &script->lines[i];
        size_t count = 0;
        while (i + count < script->count && expects(&line[count]))
            count++;
        if (count)
            told_expect(line, line, count);
        else if (line->verb->run)
            line->verb->run(line);
        i = line->end ? line->end + 1 : i + (count ? count : 1);
    }
}

int main(int argc, char **argv)
{
    struct script script;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }
    script_load(&script, argv[1], verbs);
    check(&script);
    const struct line *timeout = find(&script, "move-timeout");
    stage_open(&script, timeout ? (uint32_t)script_number(timeout->words[0]) : TN_NEVER,
               find(&script, "unchecked"));
    play(&script);
    bool is_right = stage_close(&script.lines[script.count - 1]);
    script_done(&script);
    return is_right ? 0 : 1;
}
