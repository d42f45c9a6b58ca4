/* Processors that the library has: print and statistics. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace.h"

Test(print, writes_a_line_at_once)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    struct tn_processor *print = NULL;
    struct tn_event event = {.wd = 1, .mask = IN_OPEN, .path = "/a\nb", .pathname = "/a\nb"};
    char line[256];

    cr_assert_eq(tn_processor_new_print(NULL, &print), -EINVAL);
    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    cr_assert_eq(tn_processor_call(print, &event), 0);
    tn_event_format(&event, line, sizeof(line));
    cr_assert_eq(length, strlen(line) + 1);
    cr_assert_eq(strncmp(text, line, strlen(line)), 0);
    cr_assert_eq(text[length - 1], '\n');
    tn_processor_unref(print);
    fclose(out);
    free(text);
}

Test(print, writes_long_lines_whole)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    struct tn_processor *print = NULL;

    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    for (size_t size = 900; size < 1100; size++) {
        char *name = malloc(size + 1);
        struct tn_event event = {.wd = 1, .mask = IN_OPEN, .path = "/", .name = name};
        size_t before = length;

        memset(name, 'n', size);
        name[size] = '\0';
        cr_assert_eq(tn_processor_call(print, &event), 0);
        cr_assert_eq(length - before, tn_event_format(&event, NULL, 0) + 1);
        cr_assert_eq(strcmp(text + length - strlen(" path=/ wd=1 >\n"), " path=/ wd=1 >\n"), 0);
        free(name);
    }
    tn_processor_unref(print);
    fclose(out);
    free(text);
}

Test(print, tells_that_it_could_not_write)
{
    FILE *out = fopen("/dev/full", "we");
    struct tn_processor *print = NULL;

    cr_assert_not_null(out);
    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    cr_assert_eq(call(print, IN_OPEN), -ENOSPC);
    tn_processor_unref(print);
    fclose(out);
}

static ssize_t refuse(void *unused, const char *bytes, size_t count)
{
    (void)unused;
    (void)bytes;
    (void)count;
    errno = 0;
    return 0;
}

/* A stream of the application's own need not set errno. */
Test(print, an_error_without_a_reason)
{
    FILE *out = fopencookie(NULL, "w", (cookie_io_functions_t){.write = refuse});
    struct tn_processor *print = NULL;

    cr_assert_not_null(out);
    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    cr_assert_eq(call(print, IN_OPEN), -EIO);
    tn_processor_unref(print);
    fclose(out);
}

static struct tn_processor *counted(void)
{
    struct tn_processor *stats = NULL;

    cr_assert_eq(tn_processor_new_stats(&stats), 0);
    for (int i = 0; i < 90; i++)
        call(stats, IN_CREATE);
    for (int i = 0; i < 10; i++)
        call(stats, IN_CREATE | IN_ISDIR);
    for (int i = 0; i < 50; i++)
        call(stats, IN_DELETE);
    call(stats, IN_Q_OVERFLOW);
    call(stats, 0);
    return stats;
}

static const char expected[] =
    "<Stats ElapsedTime=0sec IN_CREATE=100 IN_DELETE=50 IN_ISDIR=10 IN_Q_OVERFLOW=1 IN_UNKNOWN=1 "
    ">\n"
    "IN_CREATE                 @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@ 100\n"
    "IN_DELETE                 @@@@@@@@@@@@@@@@@@@@@@                        50\n"
    "IN_ISDIR                  @@@@                                          10\n"
    "IN_Q_OVERFLOW                                                           1\n"
    "IN_UNKNOWN                                                              1\n";

/* The text without the seconds, which are 0 or a few. */
static const char *rest_of(const char *text)
{
    const char *at = strstr(text, "sec ");

    cr_assert_eq(strncmp(text, "<Stats ElapsedTime=", strlen("<Stats ElapsedTime=")), 0);
    cr_assert_not_null(at);
    return at;
}

Test(processor_stats, formats_counts_and_bars)
{
    struct tn_processor *stats = counted();
    char text[4096];
    size_t length = tn_processor_stats_format(stats, text, sizeof(text));

    cr_assert_eq(strlen(text), length);
    cr_assert_str_eq(rest_of(text), rest_of(expected));
    cr_assert_eq(tn_processor_stats_format(stats, NULL, 0), length);
    cr_assert_eq(tn_processor_stats_format(stats, text, 7), length);
    cr_assert_str_eq(text, "<Stats");
    tn_processor_unref(stats);
}

Test(processor_stats, every_kind_has_its_own_counter)
{
    struct tn_processor *stats = NULL;
    char text[4096], field[64];

    cr_assert_eq(tn_processor_new_stats(&stats), 0);
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
        for (size_t j = 0; j <= i; j++)
            call(stats, masks[i]);
    cr_assert_lt(tn_processor_stats_format(stats, text, sizeof(text)), sizeof(text));
    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        snprintf(field, sizeof(field), " %s=%zu ", tn_mask_name(masks[i]), i + 1);
        cr_assert_not_null(strstr(text, field), "%s in\n%s", field, text);
    }
    tn_processor_unref(stats);
}

static pthread_barrier_t barrier;

static void *count_many(void *argument)
{
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 1000000; i++)
        call(argument, IN_MODIFY);
    return NULL;
}

Test(processor_stats, counts_for_all_threads)
{
    struct tn_processor *stats = NULL;
    pthread_t threads[4];
    char text[4096];

    cr_assert_eq(tn_processor_new_stats(&stats), 0);
    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_many, stats), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    tn_processor_stats_format(stats, text, sizeof(text));
    cr_assert_not_null(strstr(text, " IN_MODIFY=4000000 >"), "%s", text);
    tn_processor_unref(stats);
}

Test(processor_stats, dumps_into_a_new_private_file)
{
    struct tn_processor *stats = counted();
    char root[] = "/tmp/tn-stats-XXXXXX";
    char file[64], link[64], text[4096];
    struct stat status;

    cr_assert_not_null(mkdtemp(root));
    snprintf(file, sizeof(file), "%s/dump", root);
    snprintf(link, sizeof(link), "%s/link", root);
    cr_assert_eq(symlink(file, link), 0);
    cr_assert_lt(tn_processor_stats_dump(stats, link), 0);
    cr_assert_eq(access(file, F_OK), -1);
    cr_assert_eq(tn_processor_stats_dump(stats, file), 0);
    cr_assert_eq(tn_processor_stats_dump(stats, file), -EEXIST);
    cr_assert_eq(stat(file, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    FILE *in = fopen(file, "re");
    cr_assert_not_null(in);
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    fclose(in);
    cr_assert_str_eq(rest_of(text), rest_of(expected));
    cr_assert_eq(tn_processor_stats_dump(stats, "/nowhere/at/all"), -ENOENT);
    unlink(link);
    unlink(file);
    rmdir(root);
    tn_processor_unref(stats);
}

Test(processor_stats, knows_its_own_kind)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = on_default};
    struct trace trace = {0};
    struct tn_processor *other = make(&ops, &trace);
    struct tn_processor *stats = counted();
    char text[16] = "x";

    cr_assert_eq(tn_processor_stats_dump(other, "/tmp/never"), -EINVAL);
    cr_assert_eq(tn_processor_stats_dump(NULL, "/tmp/never"), -EINVAL);
    cr_assert_eq(tn_processor_stats_dump(stats, NULL), -EINVAL);
    cr_assert_eq(tn_processor_stats_format(other, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");
    cr_assert_eq(tn_processor_stats_format(NULL, NULL, 0), 0);
    cr_assert_eq(tn_processor_new_stats(NULL), -EINVAL);
    tn_processor_unref(stats);
    tn_processor_unref(other);
}
