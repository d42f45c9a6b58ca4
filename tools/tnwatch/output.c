#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "plain.h"

#define PREFIX "tnwatch: "
#define CLEAR  "\r\033[K"

static int write_all(int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);

        if (written >= 0) {
            bytes += written;
            count -= (size_t)written;
        } else if (errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};

            poll(&ready, 1, -1);
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

static void clear_progress_locked(struct output *output)
{
    if (output->progress_shown)
        write_all(STDERR_FILENO, CLEAR, strlen(CLEAR));
    output->progress_shown = false;
}

/* No-color.org: a value that is not empty turns colours off. */
static bool wants_color(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    return (no_color == NULL || no_color[0] == '\0') && term != NULL && term[0] != '\0' &&
           strcmp(term, "dumb") != 0;
}

void output_init(struct output *output, bool json)
{
    bool out_terminal = isatty(STDOUT_FILENO) == 1;
    bool err_terminal = isatty(STDERR_FILENO) == 1;

    *output = (struct output){
        .json = json,
        .colored = !json && out_terminal && wants_color(),
        .show_progress = err_terminal,
        .same_screen = out_terminal && err_terminal,
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
}

/* With no other thread left. */
void output_done(struct output *output)
{
    clear_progress_locked(output);
    text_done(&output->line);
    pthread_mutex_destroy(&output->lock);
}

/* Nobody is left to tell of a failure here. */
static void write_err_locked(struct output *output, const struct text *text)
{
    clear_progress_locked(output);
    write_all(STDERR_FILENO, text->bytes, text->length);
}

static int write_line_locked(struct output *output)
{
    if (output->line.failed)
        return -ENOMEM;
    clear_progress_locked(output);
    return write_all(STDOUT_FILENO, output->line.bytes, output->line.length);
}

int output_event(struct output *output, const struct tn_event *event)
{
    pthread_mutex_lock(&output->lock);
    if (output->error == 0) {
        text_clear(&output->line);
        if (output->json)
            json_put_event(&output->line, event);
        else
            plain_put_event(&output->line, event, output->colored);
        text_puts(&output->line, "\n");
        output->error = write_line_locked(output);
    }
    int r = output->error;
    pthread_mutex_unlock(&output->lock);
    return r;
}

int output_error(struct output *output)
{
    pthread_mutex_lock(&output->lock);
    int r = output->error;
    pthread_mutex_unlock(&output->lock);
    return r;
}

/* Takes over the text. */
static void print(struct output *output, struct text *text)
{
    pthread_mutex_lock(&output->lock);
    write_err_locked(output, text);
    pthread_mutex_unlock(&output->lock);
    text_done(text);
}

void output_message(struct output *output, const char *format, ...)
{
    struct text text = {.bytes = NULL};
    va_list arguments;

    text_puts(&text, PREFIX);
    va_start(arguments, format);
    text_vprintf(&text, format, arguments);
    va_end(arguments);
    text_puts(&text, "\n");
    print(output, &text);
}

void output_path_message(struct output *output, const char *before, const char *path,
                         const char *after)
{
    struct text text = {.bytes = NULL};

    text_printf(&text, PREFIX "%s '", before);
    text_escape(&text, path);
    text_printf(&text, "': %s\n", after);
    print(output, &text);
}

void output_text(struct output *output, const char *string)
{
    struct text text = {.bytes = NULL};

    text_puts(&text, string);
    print(output, &text);
}

void output_progress(struct output *output, const char *format, ...)
{
    struct text text = {.bytes = NULL};
    va_list arguments;

    if (!output->show_progress)
        return;
    text_puts(&text, CLEAR PREFIX);
    va_start(arguments, format);
    text_vprintf(&text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&output->lock);
    write_all(STDERR_FILENO, text.bytes, text.length);
    output->progress_shown = true;
    pthread_mutex_unlock(&output->lock);
    text_done(&text);
}
