#pragma once
#include <librdkafka/rdkafka.h>
#include <sys/prctl.h>

/// Enqueues a copy of `value`; `token` comes back as the message's opaque in its delivery report. Never blocks.
/// `time_ms` 0 means now. rd_kafka_producev is variadic, and rd_kafka_produce cannot carry a time.
static inline rd_kafka_resp_err_t cell_kafka_produce(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition,
                                                     const void *value, size_t size, int64_t time_ms, uint64_t token) {
    return rd_kafka_producev(rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE((void *)value, size), RD_KAFKA_V_TIMESTAMP(time_ms),
                             RD_KAFKA_V_OPAQUE((void *)(uintptr_t)token), RD_KAFKA_V_END);
}

/// Names the calling thread, at most 15 bytes.
static inline void cell_kafka_name_thread(const char *name) { prctl(PR_SET_NAME, (unsigned long)name, 0UL, 0UL, 0UL); }
