#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tnotify/stats.h>

/* The number on the line of that name; -1: no such line. */
static long long value_in(const char *text, const char *name)
{
    char line[64];
    long long value = -1;

    snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = strncmp(text, line + 1, strlen(line + 1)) == 0 ? text - 1 : strstr(text, line);
    if (at != NULL && sscanf(at + strlen(line), " < %lld", &value) != 1)
        sscanf(at + strlen(line), "%lld", &value);
    return value;
}

Test(stats, format_has_every_field)
{
    struct tn_stats stats = TN_STATS_INIT;
    uint64_t *numbers = &stats.read;
    static const char *const names[] = {
        "read",        "delivered",        "synthetic", "suppressed", "dropped",
        "unhandled",   "errors",           "overflows", "unwatched",  "watches",
        "queue_bytes", "queue_bytes_high", "wakeups",   "scans",      "moves",
    };
    char text[2048];

    for (size_t i = 0; i < 15; i++)
        numbers[i] = 1000 + i;
    stats.snapshot_entries = 2000;
    stats.snapshot_bytes = 2001;
    cr_assert_lt(tn_stats_format(&stats, text, sizeof(text)), sizeof(text));
    for (size_t i = 0; i < 15; i++)
        cr_assert_eq(value_in(text, names[i]), (long long)(1000 + i), "%s in\n%s", names[i], text);
    cr_assert_eq(value_in(text, "snapshot_entries"), 2000);
    cr_assert_eq(value_in(text, "snapshot_bytes"), 2001);
    cr_assert_null(strstr(text, "latency"));
}

Test(stats, format_tells_latency_shares)
{
    struct tn_stats stats = TN_STATS_INIT;
    char text[2048];

    stats.latency_ns[10] = 60;
    stats.latency_ns[14] = 39;
    stats.latency_ns[20] = 1;
    tn_stats_format(&stats, text, sizeof(text));
    cr_assert_eq(value_in(text, "latency_p50_ns"), 2048, "%s", text);
    cr_assert_eq(value_in(text, "latency_p99_ns"), 32768, "%s", text);
    cr_assert_eq(value_in(text, "latency_max_ns"), 2097152, "%s", text);
    memset(stats.latency_ns, 0, sizeof(stats.latency_ns));
    stats.latency_ns[31] = 1;
    tn_stats_format(&stats, text, sizeof(text));
    cr_assert_eq(value_in(text, "latency_p50_ns"), 4294967296, "%s", text);
}

Test(stats, format_takes_an_older_struct)
{
    struct tn_stats stats = {.size = offsetof(struct tn_stats, errors),
                             .unhandled = 5,
                             .errors = 77};
    char text[2048];

    tn_stats_format(&stats, text, sizeof(text));
    cr_assert_eq(value_in(text, "unhandled"), 5);
    cr_assert_eq(value_in(text, "errors"), 0);
}

Test(stats, format_is_snprintf_like)
{
    struct tn_stats stats = TN_STATS_INIT;
    char whole[2048], text[2048];
    size_t length = tn_stats_format(&stats, whole, sizeof(whole));

    cr_assert_eq(strlen(whole), length);
    memset(text, 'x', sizeof(text));
    cr_assert_eq(tn_stats_format(&stats, text, 50), length);
    cr_assert_eq(strlen(text), 49);
    cr_assert_eq(strncmp(text, whole, 49), 0);
    cr_assert_eq(text[50], 'x');
    cr_assert_eq(tn_stats_format(&stats, NULL, 0), length);
    cr_assert_eq(tn_stats_format(NULL, text, sizeof(text)), 0);
    cr_assert_str_eq(text, "");
    stats.size = 0;
    cr_assert_eq(tn_stats_format(&stats, text, sizeof(text)), 0);
}
