#pragma once
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

// What Glibc in Swift lacks: functions behind _GNU_SOURCE and variadic ones. They are declared here, because with _GNU_SOURCE itself
// the types of these headers would differ from those of Swift's own Glibc module.
extern int pthread_setname_np(pthread_t thread, const char *name);
extern int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

static inline int cell_set_thread_name(const char *name) { return pthread_setname_np(pthread_self(), name); }
static inline int cell_die_with_parent(int signal) { return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0UL, 0UL, 0UL); }
static inline int cell_accept4(int fd, int flags) { return accept4(fd, NULL, NULL, flags); }
static inline int cell_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0U); }

// Declared by glibc from 2.34 on, for GNU's own programs alone.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);
static inline int cell_spawn_close_from(posix_spawn_file_actions_t *actions, int first) { return posix_spawn_file_actions_addclosefrom_np(actions, first); }
