#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filter.h"

static struct tn_filter *new_filter(void)
{
    struct tn_filter *filter = NULL;

    cr_assert_eq(tn_filter_new(&filter), 0);
    return filter;
}

static struct tn_filter *with_regex(const char *pattern, uint32_t flags)
{
    struct tn_filter *filter = new_filter();

    cr_assert_eq(tn_filter_add_regex(filter, pattern, flags), 0);
    return filter;
}

Test(filter, null_and_empty_let_pass)
{
    struct tn_filter *filter = new_filter();

    cr_assert_not(tn__filter_excludes(NULL, "/a", false));
    cr_assert_not(tn__filter_prunes(NULL, "/a"));
    cr_assert_not(tn__filter_excludes(filter, "/a", false));
    cr_assert_not(tn__filter_excludes(filter, NULL, false));
    cr_assert_not(tn__filter_prunes(filter, "/a"));
    cr_assert_null(tn_filter_unref(filter));
    cr_assert_null(tn_filter_unref(NULL));
    cr_assert_null(tn_filter_ref(NULL));
    cr_assert_eq(tn_filter_new(NULL), -EINVAL);
}

Test(filter, excludes_what_matches)
{
    struct tn_filter *filter = with_regex("\\.o$", 0);

    cr_assert_eq(tn_filter_add_regex(filter, "^/skip(/|$)", 0), 0);
    cr_assert(tn__filter_excludes(filter, "/a/x.o", false));
    cr_assert(tn__filter_excludes(filter, "/a/x.o", true));
    cr_assert(tn__filter_excludes(filter, "/skip", true));
    cr_assert(tn__filter_excludes(filter, "/skip/a", false));
    cr_assert_not(tn__filter_excludes(filter, "/a/x.c", false));
    cr_assert_not(tn__filter_excludes(filter, "/a/skip", false));
    cr_assert_not(tn__filter_excludes(filter, "/a/X.O", false));
    cr_assert(tn__filter_prunes(filter, "/skip"));
    cr_assert_not(tn__filter_prunes(filter, "/kept"));
    tn_filter_unref(filter);
}

Test(filter, includes_report_only_what_matches)
{
    struct tn_filter *filter = with_regex("\\.c$", TN_FILTER_INCLUDE);

    cr_assert_eq(tn_filter_add_regex(filter, "\\.h$", TN_FILTER_INCLUDE), 0);
    cr_assert_not(tn__filter_excludes(filter, "/a/x.c", false));
    cr_assert_not(tn__filter_excludes(filter, "/a/x.h", false));
    cr_assert(tn__filter_excludes(filter, "/a/x.o", false));
    tn_filter_unref(filter);
}

Test(filter, includes_never_prune)
{
    struct tn_filter *filter = with_regex("\\.c$", TN_FILTER_INCLUDE);

    cr_assert_not(tn__filter_prunes(filter, "/a/dir"));
    cr_assert(tn__filter_excludes(filter, "/a/dir", true), "it is watched, not reported");
    tn_filter_unref(filter);
}

Test(filter, an_exclude_beats_an_include)
{
    struct tn_filter *filter = with_regex("\\.c$", TN_FILTER_INCLUDE);

    cr_assert_eq(tn_filter_add_regex(filter, "/gen/", 0), 0);
    cr_assert(tn__filter_excludes(filter, "/gen/x.c", false));
    cr_assert_not(tn__filter_excludes(filter, "/src/x.c", false));
    tn_filter_unref(filter);
}

Test(filter, ignores_case_when_asked)
{
    struct tn_filter *filter = with_regex("\\.jpe?g$", TN_FILTER_ICASE);

    cr_assert(tn__filter_excludes(filter, "/A.JPG", false));
    cr_assert(tn__filter_excludes(filter, "/a.JpEg", false));
    cr_assert_not(tn__filter_excludes(filter, "/a.png", false));
    tn_filter_unref(filter);
}

Test(filter, refuses_bad_patterns)
{
    static const char *const bad[] = {"", "(", "[", "a{2,1}", "*)(", "\\"};
    struct tn_filter *filter = new_filter();

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(tn_filter_add_regex(filter, bad[i], 0), -EINVAL, "\"%s\"", bad[i]);
    cr_assert_eq(tn_filter_add_regex(filter, NULL, 0), -EINVAL);
    cr_assert_eq(tn_filter_add_regex(NULL, "a", 0), -EINVAL);
    cr_assert_eq(tn_filter_add_regex(filter, "a", 4), -EINVAL);
    cr_assert_not(tn__filter_excludes(filter, "/a", false));
    tn_filter_unref(filter);
}

/* glibc's regcomp recurses for each and would crash. */
Test(filter, refuses_deep_nesting)
{
    struct tn_filter *filter = new_filter();
    size_t depth = 200000;
    char *pattern = malloc(2 * depth + 2);

    memset(pattern, '(', depth);
    pattern[depth] = 'a';
    memset(pattern + depth + 1, ')', depth);
    pattern[2 * depth + 1] = '\0';
    cr_assert_eq(tn_filter_add_regex(filter, pattern, 0), -EINVAL);
    free(pattern);
    cr_assert_eq(tn_filter_add_regex(filter, "((((a))))", 0), 0);
    cr_assert(tn__filter_excludes(filter, "/a", false));
    tn_filter_unref(filter);
}

static void check_bytes(void)
{
    struct tn_filter *filter = with_regex("^/a.b$", 0);

    cr_assert_eq(tn_filter_add_regex(filter, "^/n[^/]n\\.o$", 0), 0);
    cr_assert_eq(tn_filter_add_regex(filter, "/\xff\xfe$", 0), 0);
    cr_assert(tn__filter_excludes(filter,
                                  "/a\xff"
                                  "b",
                                  false));
    cr_assert(tn__filter_excludes(filter,
                                  "/a\xc3"
                                  "b",
                                  false));
    cr_assert(tn__filter_excludes(filter, "/n\x80n.o", false));
    cr_assert(tn__filter_excludes(filter, "/x/\xff\xfe", false));
    cr_assert_not(tn__filter_excludes(filter,
                                      "/a\xc3\xa9"
                                      "b",
                                      false));
    tn_filter_unref(filter);
}

Test(filter, paths_are_bytes_in_every_locale)
{
    check_bytes();
    cr_assert_not_null(setlocale(LC_ALL, "C.UTF-8"));
    check_bytes();
}

Test(filter, leaves_the_locale_alone)
{
    locale_t own = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);

    cr_assert_neq(own, (locale_t)0);
    uselocale(own);
    check_bytes();
    cr_assert_eq(uselocale((locale_t)0), own);
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(own);
}

struct seen {
    int calls;
    int releases;
    char path[64];
    bool is_dir;
    locale_t locale;
};

static bool match_tmp(const char *path, bool is_dir, void *userdata)
{
    struct seen *seen = userdata;

    seen->calls++;
    seen->is_dir = is_dir;
    seen->locale = uselocale((locale_t)0);
    snprintf(seen->path, sizeof(seen->path), "%s", path);
    return strstr(path, "tmp") != NULL;
}

static void released(void *userdata)
{
    ((struct seen *)userdata)->releases++;
}

Test(filter, asks_the_test)
{
    struct tn_filter *filter = new_filter();
    struct seen seen = {0};

    cr_assert_eq(tn_filter_add_test(filter, match_tmp, &seen, released), 0);
    cr_assert(tn__filter_excludes(filter, "/tmp/a", false));
    cr_assert_not(seen.is_dir);
    cr_assert_str_eq(seen.path, "/tmp/a");
    cr_assert_eq(seen.locale, LC_GLOBAL_LOCALE);
    cr_assert(tn__filter_excludes(filter, "/tmp", true));
    cr_assert(seen.is_dir);
    cr_assert(tn__filter_prunes(filter, "/tmp"));
    cr_assert(seen.is_dir);
    cr_assert_not(tn__filter_prunes(filter, "/var"));
    cr_assert_eq(seen.calls, 4);
    cr_assert_eq(tn_filter_add_test(filter, NULL, &seen, released), -EINVAL);
    cr_assert_eq(tn_filter_add_test(NULL, match_tmp, &seen, released), -EINVAL);
    cr_assert_eq(seen.releases, 0);
    tn_filter_unref(filter);
    cr_assert_eq(seen.releases, 1);
}

Test(filter, releases_with_the_last_reference)
{
    struct tn_filter *filter = new_filter();
    struct seen seen = {0};

    cr_assert_eq(tn_filter_add_test(filter, match_tmp, &seen, released), 0);
    cr_assert_eq(tn_filter_ref(filter), filter);
    tn_filter_unref(filter);
    cr_assert_eq(seen.releases, 0);
    tn_filter_unref(filter);
    cr_assert_eq(seen.releases, 1);
}

Test(filter, is_frozen_once_used)
{
    struct tn_filter *filter = with_regex("x", 0);
    struct seen seen = {0};

    tn__filter_prunes(filter, "/a");
    cr_assert_eq(tn_filter_add_regex(filter, "a", 0), -EBUSY);
    cr_assert_eq(tn_filter_add_test(filter, match_tmp, &seen, released), -EBUSY);
    cr_assert_eq(tn_filter_load(filter, "/dev/null", TN_FILTER_REGEX), -EBUSY);
    cr_assert_not(tn__filter_excludes(filter, "/a", false));
    tn_filter_unref(filter);
    cr_assert_eq(seen.releases, 0);
}

static int load(struct tn_filter *filter, const char *text, size_t length)
{
    char path[] = "/tmp/tn-filter-XXXXXX";
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, length), (ssize_t)length);
    close(fd);
    int r = tn_filter_load(filter, path, TN_FILTER_REGEX);
    unlink(path);
    return r;
}

Test(filter, loads_lines)
{
    static const char text[] = "# a comment\n\n \t\n\\.o$\r\n#^/kept$\n\r\n^/skip( |$)\n/last$";
    struct tn_filter *filter = new_filter();

    cr_assert_eq(load(filter, text, strlen(text)), 0);
    cr_assert(tn__filter_excludes(filter, "/x.o", false));
    cr_assert(tn__filter_excludes(filter, "/skip", false));
    cr_assert(tn__filter_excludes(filter, "/a/last", false));
    cr_assert_not(tn__filter_excludes(filter, "/kept", false));
    cr_assert_not(tn__filter_excludes(filter, "/", true));
    tn_filter_unref(filter);
}

Test(filter, loads_lines_of_any_length)
{
    struct tn_filter *filter = new_filter();
    size_t length = 100000;
    char *text = malloc(length + 2);

    memset(text, '#', length);
    memcpy(text + length, "\na", 2);
    cr_assert_eq(load(filter, text, length + 2), 0);
    memset(text, 'b', 20000);
    cr_assert_eq(load(filter, text, 20000), 0);
    cr_assert(tn__filter_excludes(filter, "/a", false));
    text[20000] = '\0';
    cr_assert(tn__filter_excludes(filter, text, false));
    text[19999] = '\0';
    cr_assert_not(tn__filter_excludes(filter, text, false));
    free(text);
    tn_filter_unref(filter);
}

Test(filter, load_adds_all_or_nothing)
{
    struct tn_filter *filter = new_filter();

    cr_assert_eq(load(filter, "a\nb\n(\n", 6), -EINVAL);
    cr_assert_eq(load(filter, "a\nb\0c\n", 6), -EINVAL);
    cr_assert_eq(tn_filter_load(filter, "/nowhere/at/all", TN_FILTER_REGEX), -ENOENT);
    cr_assert_eq(tn_filter_load(filter, "/tmp", TN_FILTER_REGEX), -EISDIR);
    cr_assert_eq(tn_filter_load(filter, "/dev/null", TN_FILTER_IGNORE), -EOPNOTSUPP);
    cr_assert_eq(tn_filter_load(filter, "/dev/null", (enum tn_filter_syntax)9), -EINVAL);
    cr_assert_eq(tn_filter_load(filter, NULL, TN_FILTER_REGEX), -EINVAL);
    cr_assert_eq(tn_filter_load(NULL, "/dev/null", TN_FILTER_REGEX), -EINVAL);
    cr_assert_not(tn__filter_excludes(filter, "/a", false));
    tn_filter_unref(filter);
}

#define ADDS 2000

static void *add_many(void *argument)
{
    struct tn_filter *filter = argument;
    long added = 0;

    while (added < ADDS && tn_filter_add_regex(filter, "^/a$", 0) == 0)
        added++;
    return (void *)added;
}

static void *ask_many(void *argument)
{
    struct tn_filter *filter = argument;
    long excluded = 0;

    for (int i = 0; i < 1000; i++)
        excluded += tn__filter_excludes(filter, "/a", false);
    return (void *)excluded;
}

/* Every question has one answer, given by the adds that came before the first. */
Test(filter, adds_against_questions)
{
    for (int round = 0; round < 20; round++) {
        struct tn_filter *filter = new_filter();
        pthread_t threads[4];
        void *added[2], *excluded[2];

        for (int i = 0; i < 2; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, add_many, filter), 0);
        for (int i = 2; i < 4; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, ask_many, filter), 0);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], &added[i]);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i + 2], &excluded[i]);
        long expected = (long)added[0] + (long)added[1] > 0 ? 1000 : 0;
        cr_assert_eq((long)excluded[0], expected);
        cr_assert_eq((long)excluded[1], expected);
        tn_filter_unref(filter);
    }
}
