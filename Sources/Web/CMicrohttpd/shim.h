#pragma once
#include <microhttpd.h>
#include <stdint.h>

// libmicrohttpd's options are variadic, which Swift cannot call.

struct cell_web_options {
    int listener;
    unsigned int threads;
    unsigned int connections;
    unsigned int timeout_s;
    size_t memory_bytes;
    const char *certificate;
    const char *key;
    MHD_RequestCompletedCallback completed;
    void (*log)(void *, const char *, va_list);
    void *context;
};

static inline struct MHD_Daemon *cell_web_start(struct cell_web_options o, MHD_AccessHandlerCallback handler) {
    struct MHD_OptionItem rest[4];
    int n = 0;
    if (o.threads > 1) rest[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)o.threads, NULL};
    if (o.certificate) rest[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)o.certificate};
    if (o.key) rest[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)o.key};
    rest[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    unsigned int flags = MHD_USE_ERROR_LOG | MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                         (o.certificate ? MHD_USE_TLS : 0);
    // The logger comes first: it hears only of what follows it.
    return MHD_start_daemon(flags, 0, NULL, NULL, handler, o.context, MHD_OPTION_EXTERNAL_LOGGER, o.log, o.context, MHD_OPTION_LISTEN_SOCKET,
                            o.listener, MHD_OPTION_CONNECTION_LIMIT, o.connections, MHD_OPTION_CONNECTION_TIMEOUT, o.timeout_s,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, o.memory_bytes, MHD_OPTION_NOTIFY_COMPLETED, o.completed, o.context,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, rest, MHD_OPTION_END);
}
