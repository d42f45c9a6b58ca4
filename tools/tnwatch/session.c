#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <tnotify/tnotify.h>

#define NS_PER_S          1000000000LL
#define PROGRESS_AFTER_NS (NS_PER_S / 3)
#define PROGRESS_EVERY_NS (NS_PER_S / 10)

static long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void log_message(int level, const char *message, void *userdata)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    struct session *session = userdata;

    output_message(session->output, "%s: %s", names[level & 3], message);
}

/* What cannot be watched is told on standard error, too, where events go elsewhere. */
static void report_unwatched(struct session *session, const struct tn_event *event)
{
    char reason[512];

    if (session->output->same_screen && !session->output->json)
        return;
    tn_error_format(event->error, reason, sizeof(reason));
    output_path_message(session->output, "cannot watch", event->pathname, reason);
}

static void stop(struct session *session, enum tn_finish finish)
{
    atomic_store(&session->stopping, true);
    tn_notifier_stop(session->notifier, finish);
    eventfd_write(session->stopped_fd, 1);
}

/*
 * Not in tn_notifier_join(): ThreadSanitizer runs signal handlers in poll(2) and
 * the like only, so ^C would not be seen there.
 */
static void wait_for_stop(struct session *session)
{
    struct pollfd stopped = {.fd = session->stopped_fd, .events = POLLIN};

    while (!atomic_load(&session->stopping))
        poll(&stopped, 1, -1);
}

void session_stop(struct session *session)
{
    stop(session, TN_FINISH_DRAIN);
}

static void end_root(struct session *session)
{
    if (atomic_fetch_sub(&session->roots, 1) > 1 || atomic_load(&session->stopping))
        return;
    output_message(session->output, "nothing is left to watch");
    stop(session, TN_FINISH_DRAIN);
}

static int process(const struct tn_event *event, void *userdata)
{
    struct session *session = userdata;
    bool ignored = (event->mask & IN_IGNORED) != 0;
    int r = 0;

    if (!ignored || session->options->ignored)
        r = output_event(session->output, event);
    if (r < 0)
        stop(session, TN_FINISH_DISCARD);
    if ((event->flags & TN_EVENT_UNWATCHED) != 0 && event->pathname != NULL)
        report_unwatched(session, event);
    if (ignored && event->wd == event->root)
        end_root(session);
    return r;
}

int session_init(struct session *session, const struct options *options, struct output *output)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = process};
    struct tn_notifier_options settings = {
        .size = sizeof(settings),
        .threads = options->threads,
        .order = options->order,
        .filter = options->filter,
        .log_level = options->verbosity > 1 ? TN_LOG_DEBUG : TN_LOG_INFO,
        .log = options->verbosity > 0 ? log_message : NULL,
        .log_userdata = session,
    };
    char reason[512];

    *session = (struct session){.options = options, .output = output};
    atomic_init(&session->stopping, false);
    atomic_init(&session->roots, options->path_count);
    session->stopped_fd = eventfd(0, EFD_CLOEXEC);
    int r = session->stopped_fd < 0 ? -errno : 0;
    if (r == 0)
        r = tn_processor_new(&ops, session, &session->processor);
    settings.processor = session->processor;
    if (r == 0)
        r = tn_notifier_new(&settings, &session->notifier);
    if (r < 0) {
        tn_error_format(r, reason, sizeof(reason));
        output_message(output, "%s", reason);
    }
    return r;
}

void session_done(struct session *session)
{
    session->notifier = tn_notifier_free(session->notifier);
    session->processor = tn_processor_unref(session->processor);
    if (session->stopped_fd >= 0)
        close(session->stopped_fd);
}

/* Called for each watch that is placed or fails; a failure is an event or the add's result. */
static int placed(const char *path, tn_wd wd, int error, void *data)
{
    struct session *session = data;
    long long now = now_ns();

    (void)path;
    (void)wd;
    if (error == 0)
        session->placed++;
    if (now - session->begun_ns > PROGRESS_AFTER_NS &&
        now - session->shown_ns > PROGRESS_EVERY_NS) {
        session->shown_ns = now;
        output_progress(session->output, "%zu watches so far, %.1f s", session->placed,
                        (double)(now - session->begun_ns) / (double)NS_PER_S);
    }
    return atomic_load(&session->stopping) ? -ESHUTDOWN : 0;
}

/* All paths are looked at before a large tree is walked for nothing. */
static bool check_paths(struct session *session)
{
    const struct options *options = session->options;
    bool good = true;

    for (size_t i = 0; i < options->path_count; i++) {
        struct stat status;
        bool follow = (options->mask & IN_DONT_FOLLOW) == 0;

        if (fstatat(AT_FDCWD, options->paths[i], &status, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        output_path_message(session->output, "cannot watch", options->paths[i], strerror(errno));
        good = false;
    }
    return good;
}

static bool add_path(struct session *session, const char *path)
{
    const struct options *options = session->options;
    char reason[512];
    int r = tn_watch_add(session->notifier, path,
                         TN_WATCH_OPTIONS(.mask = options->mask, .flags = options->flags,
                                          .data = session, .placed = placed),
                         NULL);

    if (r == 0 || atomic_load(&session->stopping))
        return true;
    if (r == -ECANCELED)
        snprintf(reason, sizeof(reason), "excluded by -x");
    else
        tn_error_format(r, reason, sizeof(reason));
    output_path_message(session->output, "cannot watch", path, reason);
    return false;
}

/* Returns whether every path is watched, or the run has been ended meanwhile. */
static bool add_paths(struct session *session)
{
    const struct options *options = session->options;
    bool good = true;

    session->begun_ns = now_ns();
    for (size_t i = 0; i < options->path_count && !atomic_load(&session->stopping); i++)
        good &= add_path(session, options->paths[i]);
    if (good && !atomic_load(&session->stopping))
        output_message(session->output, "ready: %zu %s in %.3f s", session->placed,
                       session->placed == 1 ? "watch" : "watches",
                       (double)(now_ns() - session->begun_ns) / (double)NS_PER_S);
    return good;
}

static void print_stats(struct session *session)
{
    struct tn_stats stats = TN_STATS_INIT;
    char text[2048];

    if (tn_notifier_get_stats(session->notifier, &stats) < 0)
        return;
    tn_stats_format(&stats, text, sizeof(text));
    output_text(session->output, text);
}

static int start(struct session *session)
{
    char reason[512];
    int r = tn_notifier_start(session->notifier);

    if (r == -ESHUTDOWN)
        return 0;
    if (r < 0) {
        tn_error_format(r, reason, sizeof(reason));
        output_message(session->output, "%s", reason);
    }
    return r;
}

int session_run(struct session *session)
{
    if (!check_paths(session) || start(session) < 0)
        return STATUS_FAILED;
    bool good = add_paths(session);
    if (!good)
        stop(session, TN_FINISH_DISCARD);
    wait_for_stop(session);
    tn_notifier_join(session->notifier);
    if (session->options->verbosity > 0)
        print_stats(session);

    int error = output_error(session->output);
    if (error < 0 && error != -EPIPE)
        output_message(session->output, "standard output: %s", strerror(-error));
    return good && error == 0 ? STATUS_OK : STATUS_FAILED;
}
