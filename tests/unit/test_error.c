#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <tnotify/limits.h>

#include "log.h"

static const char *format(int error)
{
    static char buffer[1024];
    size_t length = tn_error_format(error, buffer, sizeof(buffer));

    cr_assert_lt(length, sizeof(buffer));
    cr_assert_eq(strlen(buffer), length);
    return buffer;
}

Test(error, text_names_the_sysctl)
{
    cr_assert_not_null(strstr(tn_strerror(-ENOSPC), "fs.inotify.max_user_watches"));
    cr_assert_not_null(strstr(tn_strerror(-EMFILE), "fs.inotify.max_user_instances"));
    cr_assert_not_null(strstr(tn_strerror(-EMFILE), "RLIMIT_NOFILE"));
    cr_assert_not_null(strstr(tn_strerror(-ENFILE), "fs.file-max"));
}

Test(error, text_is_total)
{
    cr_assert_str_eq(tn_strerror(ENOSPC), tn_strerror(-ENOSPC));
    cr_assert_str_eq(tn_strerror(-EACCES), "Permission denied");
    cr_assert_str_eq(tn_strerror(0), "Success");
    cr_assert_str_eq(tn_strerror(99999), "Unknown error");
    cr_assert_str_eq(tn_strerror(INT_MIN), "Unknown error");
    cr_assert_str_eq(tn_strerror(INT_MAX), "Unknown error");
}

Test(error, format_tells_the_watches_limit)
{
    struct tn_limits limits = TN_LIMITS_INIT;
    char limit[64], raise[96];
    const char *text = format(-ENOSPC);

    cr_assert_eq(tn_limits_get(&limits), 0);
    snprintf(limit, sizeof(limit), "limit is %" PRIu64 ", this user has ", limits.user_watches);
    snprintf(raise, sizeof(raise), "sysctl -w fs.inotify.max_user_watches=%" PRIu64,
             limits.user_watches * 2);
    cr_assert_eq(strncmp(text, tn_strerror(-ENOSPC), strlen(tn_strerror(-ENOSPC))), 0);
    cr_assert_not_null(strstr(text, limit), "%s", text);
    cr_assert_not_null(strstr(text, raise), "%s", text);
}

Test(error, format_tells_both_limits_of_emfile)
{
    struct tn_limits limits = TN_LIMITS_INIT;
    struct rlimit files;
    char text[128];

    cr_assert_eq(tn_limits_get(&limits), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    snprintf(text, sizeof(text), "sysctl -w fs.inotify.max_user_instances=%" PRIu64,
             limits.user_instances * 2);
    cr_assert_not_null(strstr(format(EMFILE), text), "%s", format(EMFILE));
    snprintf(text, sizeof(text), "RLIMIT_NOFILE is %" PRIu64 ", this process has ",
             (uint64_t)files.rlim_cur);
    cr_assert_not_null(strstr(format(EMFILE), text), "%s", format(EMFILE));
}

/* Even to look needs a descriptor. */
Test(error, format_works_with_no_descriptor_left)
{
    struct rlimit files;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
    rlim_t old = files.rlim_cur;
    files.rlim_cur = 0;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    const char *text = format(-EMFILE);
    files.rlim_cur = old;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
    cr_assert_eq(strncmp(text, tn_strerror(-EMFILE), strlen(tn_strerror(-EMFILE))), 0);
    cr_assert_not_null(strstr(text, "RLIMIT_NOFILE is 0, "), "%s", text);
}

Test(error, format_of_others_is_the_text)
{
    cr_assert_str_eq(format(-EACCES), "Permission denied");
    cr_assert_str_eq(format(INT_MIN), "Unknown error");
}

Test(error, format_is_snprintf_like)
{
    char buffer[8];

    memset(buffer, 'x', sizeof(buffer));
    cr_assert_eq(tn_error_format(-EACCES, buffer, 5), strlen("Permission denied"));
    cr_assert_str_eq(buffer, "Perm");
    cr_assert_eq(buffer[5], 'x');
    cr_assert_eq(tn_error_format(-EACCES, NULL, 0), strlen("Permission denied"));
}

Test(error, format_keeps_errno)
{
    errno = EXDEV;
    tn_error_format(-EMFILE, NULL, 0);
    cr_assert_eq(errno, EXDEV);
}

struct seen {
    int count;
    int level;
    char message[2048];
};

static void remember(int level, const char *message, void *userdata)
{
    struct seen *seen = userdata;

    seen->count++;
    seen->level = level;
    snprintf(seen->message, sizeof(seen->message), "%s", message);
    errno = ELOOP;
}

Test(log, writes_what_is_important_enough)
{
    struct seen seen = {0};
    struct tn__log log = {.level = 1, .write = remember, .userdata = &seen};

    tn__log(&log, 2, "not %s", "this");
    cr_assert_eq(seen.count, 0);
    tn__log(&log, 1, "a %d", 5);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.level, 1);
    cr_assert_str_eq(seen.message, "a 5");
    tn__log(&log, 0, "b");
    cr_assert_eq(seen.count, 2);
}

Test(log, is_silent_without_a_function)
{
    struct tn__log log = {.level = 3};

    tn__log(&log, 0, "nobody sees this");
    tn__log(NULL, 0, "nor this");
}

Test(log, cuts_long_messages)
{
    struct seen seen = {0};
    struct tn__log log = {.write = remember, .userdata = &seen};
    char text[1500];

    memset(text, 'y', sizeof(text));
    text[1023] = '\0';
    tn__log(&log, 0, "%s", text);
    cr_assert_str_eq(seen.message, text);
    text[1023] = 'y';
    text[1024] = '\0';
    tn__log(&log, 0, "%s", text);
    cr_assert_eq(strlen(seen.message), 1023);
    cr_assert_str_eq(seen.message + 1020, "...");
    cr_assert_eq(seen.message[1019], 'y');
}

Test(log, keeps_errno)
{
    struct seen seen = {0};
    struct tn__log log = {.write = remember, .userdata = &seen};

    errno = EXDEV;
    tn__log(&log, 0, "x");
    cr_assert_eq(errno, EXDEV);
    tn__log(&log, 1, "x");
    cr_assert_eq(errno, EXDEV);
}
