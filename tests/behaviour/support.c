#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct tn_notifier *notifier;
struct recorder seen;

void stage_open(void)
{
    scratch_open();
}

void stage_close(void)
{
    notifier = tn_notifier_free(notifier);
    recorder_done(&seen);
    scratch_close();
}

static void new_notifier(struct tn_processor *processor, const struct tn_notifier_options *options)
{
    struct tn_notifier_options own = TN_NOTIFIER_OPTIONS_INIT;

    if (options)
        own = *options;
    else
        own.threads = 2;
    own.processor = processor;
    int result = tn_notifier_new(&own, &notifier);
    cr_assert_eq(result, 0, "tn_notifier_new: %s", tn_strerror(result));
}

void stage_new(const struct tn_notifier_options *options)
{
    recorder_init(&seen);
    new_notifier(seen.processor, options);
}

void stage_new_with(struct tn_processor *processor, const struct tn_notifier_options *options)
{
    new_notifier(processor, options);
    tn_processor_unref(processor);
}

void stage_start_with(const struct tn_notifier_options *options)
{
    stage_new(options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
}

void stage_start(void)
{
    stage_start_with(NULL);
}

struct tn_notifier *finish(struct tn_notifier *which, enum tn_finish how)
{
    cr_assert_eq(tn_notifier_stop(which, how), 0);
    cr_assert_eq(tn_notifier_join(which), 0);
    return tn_notifier_free(which);
}

void settle(struct tn_notifier *which)
{
    int result = tn_notifier_settle(which, 60000);

    cr_assert_eq(result, 0, "tn_notifier_settle: %s", tn_strerror(result));
}

struct tn_processor *processor_of(const struct tn_processor_ops *ops, void *userdata)
{
    struct tn_processor *processor;

    cr_assert_eq(tn_processor_new(ops, userdata, &processor), 0);
    return processor;
}

struct tn_processor *processing(tn_process_fn process, void *userdata)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    ops.process_default = process;
    return processor_of(&ops, userdata);
}

static tn_wd add_with(struct tn_notifier *which, const char *path,
                      const struct tn_watch_options *options)
{
    tn_wd wd = -1;
    int result = tn_watch_add(which, path, options, &wd);

    cr_assert_eq(result, 0, "tn_watch_add %s: %s", path, tn_strerror(result));
    cr_assert_gt(wd, 0);
    return wd;
}

tn_wd add_to(struct tn_notifier *which, const char *path, uint32_t mask, uint32_t flags)
{
    return add_with(which, path, TN_WATCH_OPTIONS(.mask = mask, .flags = flags));
}

tn_wd add_options(const char *path, const struct tn_watch_options *options)
{
    return add_with(notifier, path, options);
}

tn_wd add(const char *path, uint32_t mask, uint32_t flags)
{
    return add_to(notifier, path, mask, flags);
}

tn_wd found(const char *path)
{
    tn_wd wd = -1;
    int result = tn_watch_find(notifier, path, &wd);

    cr_assert_eq(result, 0, "tn_watch_find %s: %s", path, tn_strerror(result));
    return wd;
}

bool is_watched(const char *path)
{
    int result = tn_watch_find(notifier, path, NULL);

    cr_assert(result == 0 || result == -ENOENT, "tn_watch_find %s: %d", path, result);
    return result == 0;
}

struct tn_stats stats(void)
{
    struct tn_stats got = TN_STATS_INIT;

    cr_assert_eq(tn_notifier_get_stats(notifier, &got), 0);
    return got;
}

struct tn_watch_info info(tn_wd wd)
{
    struct tn_watch_info got = TN_WATCH_INFO_INIT;
    int result = tn_watch_get_info(notifier, wd, &got);

    cr_assert_eq(result, 0, "tn_watch_get_info: %s", tn_strerror(result));
    return got;
}

struct tn_filter *regex_filter(const char *pattern, uint32_t flags)
{
    struct tn_filter *filter;

    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_regex(filter, pattern, flags), 0);
    return filter;
}

void count_release(void *data)
{
    struct released *released = data;

    released->count++;
}

int note_placed(const char *path, tn_wd wd, int error, void *data)
{
    struct placing *placing = data;

    if (!pthread_equal(pthread_self(), placing->thread))
        placing->strangers++;
    placing->errors += error != 0;
    if (placing->count < 16) {
        snprintf(placing->paths[placing->count], sizeof(*placing->paths), "%s", path);
        placing->wds[placing->count] = error ? error : wd;
    }
    placing->count++;
    return placing->count == placing->cancel_at ? -EOWNERDEAD : 0;
}
