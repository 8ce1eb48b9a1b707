/* Records every event loop of a process: what it decides on and, from its own trace, what it decides.
 *
 * Loaded with LD_PRELOAD before a QEMU that traces its polling. Of each thread it keeps, in program
 * order, the readings of the monotonic clock, the waits, the reads of eventfds and the lines that
 * the thread logs. A thread that waits for file descriptors is an event loop and gets a file
 * RECORD_FOLDER/THREAD_ID.txt; of the others nothing is kept. README.md describes the lines.
 *
 * Each function here takes the place of the C library's of the same name, which it calls.
 *
 * Apache-2.0, as the whole project.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_io_uring_enter
#define SYS_io_uring_enter 426
#endif

enum {
    BUFFER_BYTES = 1 << 20,
    LINE_BYTES = 4096,
    /* A thread that has logged so much without a wait is no event loop. */
    GIVE_UP_BYTES = BUFFER_BYTES - 2 * LINE_BYTES,
};

/* What is known of one thread. It is never freed: the end of the process may still flush it. */
typedef struct Recorder {
    struct Recorder *next;
    bool is_loop, is_given_up;
    int file;
    unsigned long long count; /* of readings that no other line came between */
    uint64_t first_ns, before_last_ns, last_ns;
    size_t used;
    char buffer[BUFFER_BYTES];
} Recorder;

static __thread Recorder *own;
static __thread bool is_busy; /* in a function of this file: what it calls is not recorded */
static Recorder *recorders;
static pthread_mutex_t recorders_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t at_thread_exit;
static const char *folder;

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static ssize_t (*real_read)(int, void *, size_t);
static int (*real_eventfd_read)(int, eventfd_t *);
static int (*real_submit_and_wait)(void *, unsigned);
static long (*real_syscall)(long, ...);

/* Finds what a function here takes the place of; other libraries' constructors call them first. */
#define FIND(function, name)                                        \
    do {                                                            \
        if (!(function)) {                                          \
            *(void **)(void *)&(function) = dlsym(RTLD_NEXT, name); \
        }                                                           \
    } while (0)

static void flush(Recorder *one)
{
    size_t done = 0;

    while (one->file >= 0 && done < one->used) {
        ssize_t written = write(one->file, one->buffer + done, one->used - done);
        if (written < 0 && errno != EINTR) {
            close(one->file);
            one->file = -1;
        }
        done += written > 0 ? (size_t)written : 0;
    }
    one->used = 0;
}

static void flush_clock(Recorder *one)
{
    if (one->count) {
        one->used += (size_t)snprintf(one->buffer + one->used, LINE_BYTES,
                                      "C %llu %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", one->count,
                                      one->first_ns, one->before_last_ns, one->last_ns);
        one->count = one->before_last_ns = 0;
    }
}

static void finish(void *thread)
{
    Recorder *one = thread;

    if (one->is_loop) {
        flush_clock(one);
        flush(one);
    }
}

__attribute__((constructor)) static void begin(void)
{
    pthread_key_create(&at_thread_exit, finish);
    folder = getenv("RECORD_FOLDER");
}

__attribute__((destructor)) static void end(void)
{
    folder = NULL;
    pthread_mutex_lock(&recorders_lock);
    for (Recorder *one = recorders; one; one = one->next) {
        finish(one);
    }
    pthread_mutex_unlock(&recorders_lock);
}

/* Returns this thread's recorder with room for two lines, NULL where nothing is to be recorded. */
static Recorder *record(void)
{
    if (!folder || is_busy) {
        return NULL;
    }
    if (!own) {
        is_busy = true;
        own = calloc(1, sizeof(*own));
        is_busy = false;
        if (!own) {
            return NULL;
        }
        own->file = -1;
        pthread_setspecific(at_thread_exit, own);
        pthread_mutex_lock(&recorders_lock);
        own->next = recorders;
        recorders = own;
        pthread_mutex_unlock(&recorders_lock);
    }
    if (own->is_given_up) {
        return NULL;
    }
    if (own->used > GIVE_UP_BYTES) {
        if (!own->is_loop) {
            own->is_given_up = true;
            return NULL;
        }
        flush(own);
    }
    return own;
}

static void take_loop(Recorder *one)
{
    char path[LINE_BYTES];

    if (!one->is_loop) {
        one->is_loop = true;
        snprintf(path, sizeof(path), "%s/%d.txt", folder, gettid());
        one->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    }
}

__attribute__((format(printf, 2, 3))) static void add(Recorder *one, const char *format, ...)
{
    va_list arguments;
    int length;

    flush_clock(one);
    va_start(arguments, format);
    length = vsnprintf(one->buffer + one->used, LINE_BYTES, format, arguments);
    va_end(arguments);
    one->used += (size_t)(length < LINE_BYTES ? length : LINE_BYTES - 1);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result;
    Recorder *one;

    FIND(real_clock_gettime, "clock_gettime");
    result = real_clock_gettime(clock, now);
    one = clock == CLOCK_MONOTONIC ? record() : NULL;
    if (one) {
        uint64_t ns = (uint64_t)now->tv_sec * 1000000000 + (uint64_t)now->tv_nsec;
        if (one->count++) {
            one->before_last_ns = one->last_ns;
        } else {
            one->first_ns = ns;
        }
        one->last_ns = ns;
    }
    return result;
}

static void add_wait(Recorder *one, struct pollfd *fds, nfds_t count, const struct timespec *timeout)
{
    long long ns = timeout ? timeout->tv_sec * 1000000000LL + timeout->tv_nsec : -1;

    take_loop(one);
    add(one, "P %lld n=%lu", ns, (unsigned long)count);
    for (nfds_t i = 0; i < count && one->used < BUFFER_BYTES - LINE_BYTES; i++) {
        add(one, " %d", fds[i].fd);
    }
    add(one, "\n");
}

static int ppoll_recorded(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                          const sigset_t *mask)
{
    Recorder *one = record();
    int result, error;

    if (one) {
        add_wait(one, fds, count, timeout);
    }
    FIND(real_ppoll, "ppoll");
    result = real_ppoll(fds, count, timeout, mask);
    error = errno;
    one = record();
    if (one) {
        add(one, "R %d", result);
        for (nfds_t i = 0; result > 0 && i < count; i++) {
            if (fds[i].revents && one->used < BUFFER_BYTES - LINE_BYTES) {
                add(one, " %d", fds[i].fd);
            }
        }
        add(one, "\n");
    }
    errno = error;
    return result;
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    return ppoll_recorded(fds, count, timeout, mask);
}

/* What `ppoll` is in a program that was built with _FORTIFY_SOURCE. */
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask, size_t size)
{
    (void)size;
    return ppoll_recorded(fds, count, timeout, mask);
}

int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout)
{
    Recorder *one = record();
    int result, error;

    if (one) {
        take_loop(one);
        add(one, "U %d\n", timeout);
    }
    FIND(real_epoll_wait, "epoll_wait");
    result = real_epoll_wait(epoll, events, max, timeout);
    error = errno;
    one = record();
    if (one) {
        add(one, "V %d\n", result);
    }
    errno = error;
    return result;
}

int io_uring_submit_and_wait(void *ring, unsigned count)
{
    Recorder *one = record();
    int result, error;

    if (one) {
        take_loop(one);
        add(one, "U %u\n", count);
    }
    FIND(real_submit_and_wait, "io_uring_submit_and_wait");
    result = real_submit_and_wait(ring, count);
    error = errno;
    one = record();
    if (one) {
        add(one, "V %d\n", result);
    }
    errno = error;
    return result;
}

long syscall(long number, ...)
{
    long argument[6], result;
    va_list arguments;
    Recorder *one = number == SYS_io_uring_enter ? record() : NULL;
    int error;

    va_start(arguments, number);
    for (int i = 0; i < 6; i++) {
        argument[i] = va_arg(arguments, long);
    }
    va_end(arguments);
    if (one) {
        take_loop(one);
        add(one, "U %ld\n", argument[2]);
    }
    FIND(real_syscall, "syscall");
    result = real_syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4],
                          argument[5]);
    error = errno;
    one = one ? record() : NULL;
    if (one) {
        add(one, "V %ld\n", result);
    }
    errno = error;
    return result;
}

static void add_read(int fd, long result)
{
    int error = errno;
    Recorder *one = record();

    if (one) {
        add(one, "E %d %ld\n", fd, result);
    }
    errno = error;
}

/* An eventfd is read eight bytes at a time, or by QEMU into a buffer for a pipe's bytes as well. */
ssize_t read(int fd, void *buffer, size_t size)
{
    ssize_t result;

    FIND(real_read, "read");
    result = real_read(fd, buffer, size);
    if (own && own->is_loop && (result == 8 || result < 0)) {
        add_read(fd, result);
    }
    return result;
}

int eventfd_read(int fd, eventfd_t *value)
{
    int result;

    FIND(real_eventfd_read, "eventfd_read");
    result = real_eventfd_read(fd, value);

    if (own && own->is_loop) {
        add_read(fd, result < 0 ? -1 : 8);
    }
    return result;
}

/* Adds what a thread logs; only a whole line that begins with an event's name is one of a trace. */
static void add_log(const char *format, va_list arguments)
{
    char line[LINE_BYTES / 2];
    int error = errno, length;
    Recorder *one = record();

    if (one) {
        is_busy = true;
        length = vsnprintf(line, sizeof(line), format, arguments);
        is_busy = false;
        if (length > 1 && length < (int)sizeof(line) && line[length - 1] == '\n' &&
            (strncmp(line, "poll_", 5) == 0 || strncmp(line, "run_poll_handlers_", 18) == 0)) {
            add(one, "T %s", line);
        }
    }
    errno = error;
}

#define LOGGED(file, format, arguments, flag)                   \
    do {                                                        \
        va_list again;                                          \
        int written;                                            \
        va_copy(again, arguments);                              \
        add_log(format, again);                                 \
        va_end(again);                                          \
        is_busy = true;                                         \
        written = real_vfprintf(file, flag, format, arguments); \
        is_busy = false;                                        \
        return written;                                         \
    } while (0)

extern int __vfprintf_chk(FILE *, int, const char *, va_list);

static int real_vfprintf(FILE *file, int flag, const char *format, va_list arguments)
{
    static int (*real)(FILE *, int, const char *, va_list);

    FIND(real, "__vfprintf_chk");
    return real(file, flag, format, arguments);
}

int __vfprintf_chk(FILE *file, int flag, const char *format, va_list arguments)
{
    LOGGED(file, format, arguments, flag);
}

int vfprintf(FILE *file, const char *format, va_list arguments)
{
    LOGGED(file, format, arguments, 0);
}
