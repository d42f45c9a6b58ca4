/*
 * Filters against regcomp and regexec. The input is a list of steps, each a
 * byte and a string: patterns to add, files to load, paths to ask about.
 */
#include <errno.h>
#include <regex.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "filter.h"
#include "input.h"

enum { RULES = 16, PATTERN_SIZE = 320, REPEATS = 4, GROUPS = 250 };

struct oracle {
    struct rule {
        regex_t regex;
        bool include;
    } rules[RULES];
    size_t count;
    bool frozen;
};

/* What makes glibc's regex itself slow or large, it is not what is tested here: back-references,
 * and nested repeats, each of which copies what it repeats. */
static bool is_costly(const char *pattern)
{
    size_t braces = 0, repeats = 0;

    for (const char *at = pattern; *at; at++) {
        repeats += *at == '+' || *at == '*' || *at == '?';
        if (*at == '\\' && at[1] >= '1' && at[1] <= '9')
            return true;
        if (*at == '{' && (++braces > 1 || strspn(at + 1, "0123456789,") > 3))
            return true;
    }
    return repeats > REPEATS || strlen(pattern) >= PATTERN_SIZE;
}

/* Of as many as the library compares with are more than 250 nested? Escaped ones are not counted.
 */
static bool is_deep(const char *pattern)
{
    long depth = 0;

    for (; *pattern; pattern++) {
        if (*pattern == '\\' && pattern[1])
            pattern++;
        else if (*pattern == '(' && ++depth > GROUPS)
            return true;
        else if (*pattern == ')' && depth > 0)
            depth--;
    }
    return false;
}

/* 0, and the rule stands at the oracle's end, not counted yet; -EINVAL. */
static int compile(struct oracle *oracle, const char *pattern, uint32_t flags)
{
    struct rule *rule = &oracle->rules[oracle->count];
    int icase = flags & TN_FILTER_ICASE ? REG_ICASE : 0;

    if (!*pattern || is_deep(pattern) ||
        regcomp(&rule->regex, pattern, REG_EXTENDED | REG_NOSUB | icase) != 0)
        return -EINVAL;
    rule->include = flags & TN_FILTER_INCLUDE;
    return 0;
}

static void add(struct oracle *oracle, struct tn_filter *filter, const char *pattern,
                uint32_t flags)
{
    const uint32_t known = TN_FILTER_INCLUDE | TN_FILTER_ICASE;

    if (is_costly(pattern) && !is_deep(pattern))
        return;
    int result = tn_filter_add_regex(filter, pattern, flags);
    if (flags & ~known) {
        CHECK(result == -EINVAL);
    } else if (oracle->frozen) {
        CHECK(result == -EBUSY);
    } else {
        CHECK(result == compile(oracle, pattern, flags));
        oracle->count += result == 0;
    }
}

static size_t count_lines(const char *text)
{
    size_t count = 1;

    while ((text = strchr(text, '\n')))
        count++, text++;
    return count;
}

/* Blank and # lines are skipped; one bad line, and none counts. */
static int compile_lines(struct oracle *oracle, char *text)
{
    const size_t before = oracle->count;

    for (char *line; (line = strsep(&text, "\n"));) {
        size_t length = strlen(line);
        if (length > 0 && line[length - 1] == '\r')
            line[length - 1] = '\0';
        if (*line == '#' || !line[strspn(line, " \t")])
            continue;
        if (compile(oracle, line, 0) == 0) {
            oracle->count++;
            continue;
        }
        while (oracle->count > before)
            regfree(&oracle->rules[--oracle->count].regex);
        return -EINVAL;
    }
    return 0;
}

static void load(struct oracle *oracle, struct tn_filter *filter, char *text)
{
    char path[64];
    size_t size = strlen(text);
    int fd;

    if (is_costly(text) || oracle->count + count_lines(text) >= RULES)
        return;
    fd = memfd_create("patterns", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, text, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int result = tn_filter_load(filter, path, TN_FILTER_REGEX);
    close(fd);
    CHECK(result == (oracle->frozen ? -EBUSY : compile_lines(oracle, text)));
    CHECK(tn_filter_load(filter, path, TN_FILTER_REGEX) == (oracle->frozen ? -EBUSY : -ENOENT));
}

static void ask(struct oracle *oracle, struct tn_filter *filter, const char *path, bool is_dir)
{
    bool excluded = false, included = false, includes = false;

    oracle->frozen = true;
    for (size_t i = 0; i < oracle->count; i++) {
        bool match = regexec(&oracle->rules[i].regex, path, 0, NULL, 0) == 0;
        excluded = excluded || (match && !oracle->rules[i].include);
        included = included || (match && oracle->rules[i].include);
        includes = includes || oracle->rules[i].include;
    }
    CHECK(tn__filter_excludes(filter, path, is_dir) == (excluded || (includes && !included)));
    CHECK(tn__filter_prunes(filter, path) == excluded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    struct oracle oracle = {.count = 0};
    struct tn_filter *filter;

    CHECK(tn_filter_new(&filter) == 0);
    while (!input_is_empty(&input)) {
        uint8_t step = take8(&input);
        char *text = take_string(&input);
        if ((step & 7) >= 6)
            ask(&oracle, filter, text, step & 8);
        else if ((step & 7) == 5)
            load(&oracle, filter, text);
        else if (oracle.count + 1 < RULES)
            add(&oracle, filter, text, step & 7);
        free(text);
    }
    tn_filter_unref(filter);
    while (oracle.count > 0)
        regfree(&oracle.rules[--oracle.count].regex);
    return 0;
}
