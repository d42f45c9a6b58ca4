/* An installed tnotify at work: one event of one file. Exit status 0 if it came as it should. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

static atomic_int right, wrong;

static int on_create(const struct tn_event *event, void *userdata)
{
    const char *directory = userdata;
    const size_t length = strlen(directory);
    const char *pathname = event->pathname;

    if (strncmp(pathname, directory, length) == 0 && strcmp(pathname + length, "/file") == 0)
        atomic_fetch_add(&right, 1);
    else
        atomic_fetch_add(&wrong, 1);
    return 0;
}

static int watch(struct tn_notifier *notifier, const char *directory)
{
    int result = tn_notifier_start(notifier);

    if (result == 0)
        result = tn_watch_add(notifier, directory,
                              TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE), NULL);
    if (result == 0 && close(open("file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) < 0)
        result = -1;
    return result == 0 ? tn_notifier_settle(notifier, 10000) : result;
}

int main(void)
{
    char directory[] = "/tmp/tn-consumer-XXXXXX";
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_notifier *notifier = NULL;

    if (!mkdtemp(directory) || chdir(directory) < 0)
        return 1;
    ops.process_create = on_create;
    int result = tn_processor_new(&ops, directory, &options.processor);
    if (result == 0)
        result = tn_notifier_new(&options, &notifier);
    if (result == 0)
        result = watch(notifier, directory);
    tn_notifier_free(notifier);
    tn_processor_unref(options.processor);
    unlink("file");
    rmdir(directory);
    printf("tnotify %s, headers %s: %d right, %d wrong (%s)\n", tn_version(), TN_VERSION, right,
           wrong, tn_strerror(result));
    return result == 0 && right == 1 && wrong == 0 && strcmp(tn_version(), TN_VERSION) == 0 ? 0 : 1;
}
