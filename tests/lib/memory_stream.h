/* memory_stream.h - a stream of bytes in memory: a sink of what is exported, and a source of it.
 *
 *   struct memory_stream s = { .bytes = MU_BUF_NONE };
 *   catalog_export(reader, memory_stream_sink, &s, ...)
 *   catalog_import(catalog, memory_stream_source, &s, ...)
 *   mu_buf_deinit(&s.bytes)
 */
#ifndef TEST_MEMORY_STREAM_H
#define TEST_MEMORY_STREAM_H

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct memory_stream {
    struct mu_buf bytes;
    size_t at;   /* so many were read */
    size_t step; /* how much a read gives at most; 0: all */
};

static inline enum mu_code memory_stream_sink(void *data, struct mu_span bytes, struct mu_err *err)
{
    struct memory_stream *s = data;

    (void)err;
    mu_buf_add_span(&s->bytes, bytes);
    return MU_OK;
}

static inline enum mu_code memory_stream_source(void *data, void *to, size_t room, size_t *got,
                                                struct mu_err *err)
{
    struct memory_stream *s = data;
    size_t left = s->bytes.bytes - s->at;

    (void)err;
    *got = left < room ? left : room;
    *got = s->step > 0 && s->step < *got ? s->step : *got;
    if (*got > 0) {
        memcpy(to, s->bytes.data + s->at, *got);
    }
    s->at += *got;
    return MU_OK;
}

#endif
