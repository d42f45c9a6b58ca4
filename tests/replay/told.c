#include "told.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPECTED = 256, OWN_COOKIES = 64 };

static const char *const flag_names[] = {"synthetic", "gap-begin", "gap-end", "unknown",
                                         "unwatched"};

struct told {
    struct told *next;
    char **lines;
    size_t count;
    uint32_t own[OWN_COOKIES]; /* of moves that no record tells, in the order that they came in */
    char name[];
};

/* A line of the script. */
struct wanted {
    const struct line *line;
    char *text;
    bool any; /* in any order with those beside it that have this too */
};

static struct told *lists;

struct told *told_list(const char *name)
{
    struct told **at = &lists;

    while (*at && strcmp((*at)->name, name) != 0)
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof(**at) + strlen(name) + 1);
        if (!*at)
            exit(2);
        strcpy((*at)->name, name);
    }
    return *at;
}

static void put_mask(FILE *out, uint32_t mask)
{
    char text[512];
    const char *separator = "";

    tn_mask_format(mask, text, sizeof(text));
    for (char *rest, *name = strtok_r(text, "|", &rest); name; name = strtok_r(NULL, "|", &rest)) {
        fprintf(out, "%s%s", separator, name + (strncmp(name, "IN_", 3) == 0 ? 3 : 0));
        separator = "|";
    }
}

static void put_cookie(FILE *out, struct told *told, const struct tn_event *event)
{
    unsigned i = 0;

    if (!event->cookie)
        return;
    if (!(event->flags & TN_EVENT_SYNTHETIC)) {
        fprintf(out, " cookie=%u", event->cookie);
        return;
    }
    while (i < OWN_COOKIES - 1 && told->own[i] && told->own[i] != event->cookie)
        i++;
    told->own[i] = event->cookie;
    fprintf(out, " cookie=own%u", i + 1);
}

static void put_event(FILE *out, struct told *told, const struct tn_event *event)
{
    /* An IN_IGNORED is the same whether the kernel or the library tells it. */
    uint32_t flags = event->mask & IN_IGNORED ? event->flags & ~TN_EVENT_SYNTHETIC : event->flags;

    put_mask(out, event->mask);
    fprintf(out, " %s", event->path ? event->path : "-");
    if (event->name)
        fprintf(out, ":%s", event->name);
    if (event->src_pathname)
        fprintf(out, " <- %s", event->src_pathname);
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(*flag_names); i++)
        if (flags & 1u << i)
            fprintf(out, " %s", flag_names[i]);
    put_cookie(out, told, event);
    if (event->error)
        fprintf(out, " error=%s", strerrorname_np(-event->error));
}

static FILE *open_text(char **ret_text, size_t *ret_size)
{
    FILE *out = open_memstream(ret_text, ret_size);

    if (!out)
        exit(2);
    return out;
}

void told_keep(struct told *told, const struct tn_event *event, const char *wrong)
{
    char **lines = reallocarray(told->lines, told->count + 1, sizeof(*lines));
    size_t size;

    if (!lines)
        exit(2);
    told->lines = lines;
    FILE *out = open_text(&lines[told->count], &size);
    put_event(out, told, event);
    if (wrong)
        fprintf(out, " (but it can't be: %s)", wrong);
    fclose(out);
    told->count++;
}

static bool names_list(const char *word)
{
    return word && word[strlen(word) - 1] == ':';
}

static bool is_flag(const char *word)
{
    for (size_t i = 0; i < sizeof(flag_names) / sizeof(*flag_names); i++)
        if (strcmp(word, flag_names[i]) == 0)
            return true;
    return strncmp(word, "cookie=", 7) == 0 ||
           (strncmp(word, "error=", 6) == 0 && script_errno(word + 6));
}

void told_check_words(const struct line *line)
{
    unsigned i = names_list(line->words[0]);
    uint32_t mask;

    if (strcmp(line->verb->name, "nothing") == 0)
        return;
    if (line->count < i + 2)
        script_fail(line, 2, "a mask and a path are missing");
    if (tn_mask_parse(line->words[i], &mask) < 0)
        script_fail(line, 2, "\"%s\" is no mask", line->words[i]);
    for (i += 2; i < line->count; i++) {
        if (strcmp(line->words[i], "<-") == 0 && i + 1 < line->count)
            i++;
        else if (!is_flag(line->words[i]))
            script_fail(line, 2, "\"%s\" is nothing that an event tells", line->words[i]);
    }
}

static struct wanted wanted_of(const struct line *line)
{
    struct wanted wanted = {.line = line, .any = strcmp(line->verb->name, "any") == 0};
    unsigned i = names_list(line->words[0]);
    size_t size;
    FILE *out = open_text(&wanted.text, &size);

    put_mask(out, script_mask(line->words[i]));
    while (++i < line->count)
        fprintf(out, " %s", line->words[i]);
    fclose(out);
    return wanted;
}

static bool is_of(const struct line *line, const struct told *told)
{
    const char *name = names_list(line->words[0]) ? line->words[0] : ":";

    return line->count && strlen(name) == strlen(told->name) + 1 &&
           strncmp(name, told->name, strlen(told->name)) == 0;
}

/* Brings the ones in any order into the order that they were told in. */
static void sort_wanted(struct wanted *wanted, size_t count, const struct told *told)
{
    for (size_t i = 0; i < count && i < told->count; i++) {
        size_t found = i;
        while (found < count && wanted[i].any && wanted[found].any &&
               strcmp(wanted[found].text, told->lines[i]) != 0)
            found++;
        if (found == count || !wanted[i].any || !wanted[found].any)
            continue;
        struct wanted other = wanted[i];
        wanted[i] = wanted[found];
        wanted[found] = other;
    }
}

/* What is the same at both ends is left out. */
static void tell_difference(const struct told *told, const struct wanted *wanted, size_t count)
{
    size_t first = 0, more = count, got = told->count;

    while (first < more && first < got && strcmp(wanted[first].text, told->lines[first]) == 0)
        first++;
    while (more > first && got > first &&
           strcmp(wanted[more - 1].text, told->lines[got - 1]) == 0) {
        more--;
        got--;
    }
    for (size_t i = first; i < more; i++)
        script_tell(wanted[i].line, "expected  %s", wanted[i].text);
    for (size_t i = first; i < got; i++)
        fprintf(stderr, "    got       %s\n", told->lines[i]);
    if (first == got)
        fprintf(stderr, "    got       nothing in its place\n");
}

static bool check_list(const struct line *at, struct told *told, const struct line *lines,
                       size_t count)
{
    struct wanted wanted[EXPECTED];
    size_t wanted_count = 0;

    for (size_t i = 0; i < count; i++) {
        if (!is_of(&lines[i], told))
            continue;
        if (wanted_count == EXPECTED)
            script_fail(&lines[i], 2, "more than %d expected events at once", EXPECTED);
        wanted[wanted_count++] = wanted_of(&lines[i]);
    }
    sort_wanted(wanted, wanted_count, told);
    bool same = wanted_count == told->count;
    for (size_t i = 0; same && i < wanted_count; i++)
        same = strcmp(wanted[i].text, told->lines[i]) == 0;
    if (!same) {
        script_tell(at, "by here %s%s differs:", *told->name ? told->name : "what was told",
                    *told->name ? " was told what" : "");
        tell_difference(told, wanted, wanted_count);
    }
    for (size_t i = 0; i < wanted_count; i++)
        free(wanted[i].text);
    return same;
}

static void forget(struct told *told)
{
    for (size_t i = 0; i < told->count; i++)
        free(told->lines[i]);
    told->count = 0;
}

void told_expect(const struct line *at, const struct line *lines, size_t count)
{
    bool same = true;

    for (size_t i = 0; i < count; i++)
        if (lines[i].count)
            if (names_list(lines[i].words[0])) {
                char *colon = lines[i].words[0] + strlen(lines[i].words[0]) - 1;
                *colon = '\0';
                told_list(lines[i].words[0]);
                *colon = ':';
            }
    told_list("");
    for (struct told *told = lists; told; told = told->next)
        same = check_list(at, told, lines, count) && same;
    if (!same)
        exit(1);
    told_forget();
}

void told_forget(void)
{
    for (struct told *told = lists; told; told = told->next)
        forget(told);
}

void told_done(void)
{
    while (lists) {
        struct told *told = lists;
        lists = told->next;
        forget(told);
        free(told->lines);
        free(told);
    }
}
