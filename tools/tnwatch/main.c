/*
 * tnwatch: prints what happens to files and directories.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "output.h"
#include "session.h"

/* For the signal handler; NULL while there is nothing to stop. */
static _Atomic(struct session *) running;

/*
 * The first signal ends the run: what happened so far is still printed. A later
 * one ends the program, should the output be stuck; not one that comes at once,
 * since timeout(1) and others send theirs twice.
 */
static void on_signal(int number)
{
    static volatile sig_atomic_t asked;
    static volatile sig_atomic_t asked_at;
    int saved_errno = errno;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!asked) {
        struct session *session = atomic_load(&running);

        asked = 1;
        asked_at = (sig_atomic_t)now.tv_sec;
        if (session != NULL)
            session_stop(session);
    } else if ((sig_atomic_t)now.tv_sec - asked_at >= 2) {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = saved_errno;
}

/* ^C works also where a shell started the program in the background with SIGINT ignored. */
static void catch_signals(struct session *session)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    atomic_store(&running, session);
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* So that no descriptor of the library becomes a standard one; writing there still fails. */
static void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    struct options options;
    struct output output;
    struct session session;
    int status = STATUS_FAILED;

    hold_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    if (!options_parse(&options, argc, argv, &status)) {
        options_done(&options);
        return status;
    }
    output_init(&output, options.json);
    if (session_init(&session, &options, &output) == 0) {
        catch_signals(&session);
        status = session_run(&session);
        atomic_store(&running, NULL);
    }
    session_done(&session);
    output_done(&output);
    options_done(&options);
    return status;
}
