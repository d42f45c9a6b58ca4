/*
 * Filters: patterns and tests on paths.
 *
 * Paths are bytes. glibc's regex would decode them in the caller's locale and
 * never match a name that is not valid there, so each call into it is made in
 * the C locale, in which every byte is a character.
 *
 * Frozen once used.
 *
 *   F1  An add appends its rules under add_lock, if frozen is not set.
 *   F2  The first use takes add_lock and sets frozen (release).
 *   F3  Later uses see frozen (acquire), and the rules without a lock.
 *
 * F1 before F2: add_lock shows the rules to who sets frozen, and F2 to F3 hands
 * them on. F2 before F1: the add sees frozen and answers -EBUSY.
 * Checked by tests/unit/test_filter.c, which runs adds against questions.
 */
#include "filter.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "callback.h"
#include "compiler.h"

/* regcomp recurses for each: deeper ones could use up the caller's stack. */
#define TN__PATTERN_DEPTH 250

struct rule {
    bool include;
    bool (*test)(const char *path, bool is_dir, void *userdata); /* NULL: regex */
    void *userdata;
    void (*release)(void *userdata);
    regex_t regex;
};

struct rules {
    struct rule *items;
    size_t count;
    size_t capacity;
};

struct tn_filter {
    _Atomic uint32_t references;
    _Atomic bool frozen;
    locale_t c_locale; /* constant */

    pthread_mutex_t add_lock;
    struct rules rules; /* guarded by add_lock; constant once frozen */
    size_t includes;    /* the same: how many of the rules include */
};

static void rule_done(struct rule *rule)
{
    struct tn__callback callback;

    if (rule->test == NULL) {
        regfree(&rule->regex);
    } else if (rule->release != NULL) {
        tn__callback_enter(&callback, NULL);
        rule->release(rule->userdata);
        tn__callback_leave(&callback);
    }
}

static void rules_done(struct rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        rule_done(&rules->items[i]);
    free(rules->items);
}

static int rules_reserve(struct rules *rules, size_t count)
{
    size_t wanted = rules->count + count;

    if (wanted <= rules->capacity)
        return 0;
    wanted = tn__max(wanted, rules->capacity * 2);
    struct rule *items = reallocarray(rules->items, wanted, sizeof(*items));
    if (items == NULL)
        return -ENOMEM;
    rules->items = items;
    rules->capacity = wanted;
    return 0;
}

int tn_filter_new(struct tn_filter **ret_filter)
{
    if (ret_filter == NULL)
        return -EINVAL;
    struct tn_filter *filter = calloc(1, sizeof(*filter));
    if (filter == NULL)
        return -ENOMEM;
    atomic_init(&filter->references, 1);
    atomic_init(&filter->frozen, false);
    filter->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (filter->c_locale == (locale_t)0) {
        free(filter);
        return -ENOMEM;
    }
    pthread_mutex_init(&filter->add_lock, NULL);
    *ret_filter = filter;
    return 0;
}

struct tn_filter *tn_filter_ref(struct tn_filter *filter)
{
    if (filter != NULL)
        tn__fetch_add(&filter->references, 1, relaxed);
    return filter;
}

struct tn_filter *tn_filter_unref(struct tn_filter *filter)
{
    if (filter == NULL || tn__fetch_sub(&filter->references, 1, acq_rel) != 1)
        return NULL;
    rules_done(&filter->rules);
    pthread_mutex_destroy(&filter->add_lock);
    freelocale(filter->c_locale);
    free(filter);
    return NULL;
}

/* F1: all of them or none; they are the filter's on success. */
static int append(struct tn_filter *filter, const struct rule *items, size_t count)
{
    pthread_mutex_lock(&filter->add_lock);
    int r = tn__load(&filter->frozen, relaxed) ? -EBUSY : rules_reserve(&filter->rules, count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        filter->rules.items[filter->rules.count++] = items[i];
        filter->includes += items[i].include;
    }
    pthread_mutex_unlock(&filter->add_lock);
    return r;
}

static bool is_too_deep(const char *pattern)
{
    size_t depth = 0;

    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '\\' && pattern[1] != '\0')
            pattern++;
        else if (*pattern == '(' && ++depth > TN__PATTERN_DEPTH)
            return true;
        else if (*pattern == ')' && depth > 0)
            depth--;
    }
    return false;
}

static int compile(struct tn_filter *filter, const char *pattern, uint32_t flags,
                   struct rule *ret_rule)
{
    int regex_flags = REG_EXTENDED | REG_NOSUB | ((flags & TN_FILTER_ICASE) != 0 ? REG_ICASE : 0);
    struct rule rule = {.include = (flags & TN_FILTER_INCLUDE) != 0};

    if (*pattern == '\0' || is_too_deep(pattern))
        return -EINVAL;
    locale_t old = uselocale(filter->c_locale);
    int r = regcomp(&rule.regex, pattern, regex_flags);
    uselocale(old);
    if (r != 0)
        return r == REG_ESPACE ? -ENOMEM : -EINVAL;
    *ret_rule = rule;
    return 0;
}

int tn_filter_add_regex(struct tn_filter *filter, const char *pattern, uint32_t flags)
{
    struct rule rule;

    if (filter == NULL || pattern == NULL || (flags & ~(TN_FILTER_INCLUDE | TN_FILTER_ICASE)) != 0)
        return -EINVAL;
    if (tn__load(&filter->frozen, acquire))
        return -EBUSY;
    int r = compile(filter, pattern, flags, &rule);
    if (r < 0)
        return r;
    r = append(filter, &rule, 1);
    if (r < 0)
        rule_done(&rule);
    return r;
}

int tn_filter_add_test(struct tn_filter *filter,
                       bool (*test)(const char *path, bool is_dir, void *userdata), void *userdata,
                       void (*release)(void *userdata))
{
    if (filter == NULL || test == NULL)
        return -EINVAL;
    struct rule rule = {.test = test, .userdata = userdata, .release = release};
    return append(filter, &rule, 1);
}

/* One line, of a byte at least, without its end; blank ones and comments give no rule. */
static int load_line(struct tn_filter *filter, char *line, size_t length, struct rules *rules)
{
    if (line[length - 1] == '\n')
        line[--length] = '\0';
    if (length > 0 && line[length - 1] == '\r')
        line[--length] = '\0';
    if (strlen(line) != length)
        return -EINVAL;
    if (line[0] == '#' || line[strspn(line, " \t")] == '\0')
        return 0;
    int r = rules_reserve(rules, 1);
    if (r == 0)
        r = compile(filter, line, 0, &rules->items[rules->count]);
    if (r == 0)
        rules->count++;
    return r;
}

static int load_lines(struct tn_filter *filter, FILE *file, struct rules *rules)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int r = 0;

    while (r == 0 && (length = getline(&line, &size, file)) >= 0)
        r = load_line(filter, line, (size_t)length, rules);
    if (r == 0 && !feof(file))
        r = -errno;
    free(line);
    return r;
}

int tn_filter_load(struct tn_filter *filter, const char *file, enum tn_filter_syntax syntax)
{
    struct rules rules = {0};

    if (filter == NULL || file == NULL)
        return -EINVAL;
    if (syntax != TN_FILTER_REGEX)
        return syntax == TN_FILTER_IGNORE ? -EOPNOTSUPP : -EINVAL;
    if (tn__load(&filter->frozen, acquire))
        return -EBUSY;
    FILE *stream = fopen(file, "re");
    if (stream == NULL)
        return -errno;
    int r = load_lines(filter, stream, &rules);
    fclose(stream);
    if (r == 0)
        r = append(filter, rules.items, rules.count);
    if (r == 0)
        rules.count = 0;
    rules_done(&rules);
    return r;
}

void tn__filter_freeze(struct tn_filter *filter)
{
    if (filter == NULL || TN__LIKELY(tn__load(&filter->frozen, acquire))) /* F3 */
        return;
    pthread_mutex_lock(&filter->add_lock);
    tn__store(&filter->frozen, true, release); /* F2 */
    pthread_mutex_unlock(&filter->add_lock);
}

static bool ask_test(const struct rule *rule, const char *path, bool is_dir)
{
    struct tn__callback callback;

    tn__callback_enter(&callback, NULL);
    bool excluded = rule->test(path, is_dir, rule->userdata);
    tn__callback_leave(&callback);
    return excluded;
}

/*
 * Out of memory inside regexec counts as the answer that leaves the path in:
 * rather one event too many than one in silence too few.
 */
static bool matches(const struct tn_filter *filter, const struct rule *rule, const char *path,
                    bool is_dir)
{
    if (rule->test != NULL)
        return ask_test(rule, path, is_dir);
    locale_t old = uselocale(filter->c_locale);
    int r = regexec(&rule->regex, path, 0, NULL, 0);
    uselocale(old);
    return r == 0 || (r != REG_NOMATCH && rule->include);
}

static bool any_matches(const struct tn_filter *filter, bool include, const char *path, bool is_dir)
{
    for (size_t i = 0; i < filter->rules.count; i++) {
        const struct rule *rule = &filter->rules.items[i];

        if (rule->include == include && matches(filter, rule, path, is_dir))
            return true;
    }
    return false;
}

static bool excludes(const struct tn_filter *filter, const char *path, bool is_dir, bool prune)
{
    if (any_matches(filter, false, path, is_dir))
        return true;
    return !prune && filter->includes > 0 && !any_matches(filter, true, path, is_dir);
}

static bool ask(struct tn_filter *filter, const char *path, bool is_dir, bool prune)
{
    if (filter == NULL || path == NULL)
        return false;
    tn__filter_freeze(filter);
    return excludes(filter, path, is_dir, prune);
}

bool tn__filter_excludes(struct tn_filter *filter, const char *path, bool is_dir)
{
    return ask(filter, path, is_dir, false);
}

bool tn__filter_prunes(struct tn_filter *filter, const char *path)
{
    return ask(filter, path, true, true);
}
