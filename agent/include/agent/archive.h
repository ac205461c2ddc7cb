/* archive.h - the state of the servers as one file for operators (spec/http-api.md 13).
 *
 * A gzip stream of a tar file (POSIX.1-1988 "ustar") with exactly these members, in this order:
 *
 *   meta.json    {"Version":1,"ID":"2-121-1605000000000","Index":121,"Term":2,"Peers":"",
 *                 "Configuration":{"Servers":[...]},"ConfigurationIndex":1,"Size":12345}
 *   state.bin    the stream of catalog/snapshot.h; Size is its length
 *   SHA256SUMS   a line for each of the two: 64 hex digits, two blanks, the name
 *
 * The ID is term, index and the stamp of the last entry in ms, so that it names a state. Peers and
 * the configuration are there because Consul's tools print them; nothing is made of them.
 *
 * Thread:  any; both calls block for as long as it takes.
 * Memory:  some blocks, whatever the archive holds or claims.
 * Errors:  MU_TOO_BIG (above 8 GiB of state), MU_CORRUPT (not an archive, cut, changed, or it
 *          contradicts itself; in the texts of the API), and those of the source, of the sink and
 *          of catalog/snapshot.h.
 */
#ifndef AGENT_ARCHIVE_H
#define AGENT_ARCHIVE_H

#include "base/buf.h"
#include "catalog/snapshot.h"

#define ARCHIVE_ID_MAX 128
/* Compressed: what a tar member may hold, and as much again as bytes that cannot be made smaller
 * grow by, generously. */
#define ARCHIVE_BYTES_MAX (9ULL << 30)

struct archive_contents {
    char id[ARCHIVE_ID_MAX];
    uint64_t version, index, term, bytes; /* bytes: of the state, uncompressed */
    struct catalog_snapshot state;
};

/* `source` gives the stream that `state` speaks of; `servers` is the part
 * "Configuration":...,"ConfigurationIndex":... of meta.json. `sink` takes the archive piece by
 * piece; on failure it has only some of it. */
MU_MUST_CHECK enum mu_code archive_write(const struct catalog_snapshot *state,
                                         struct mu_span servers, catalog_source_fn *source,
                                         void *data, catalog_sink_fn *sink, void *sink_data,
                                         struct mu_err *err);

/* Check all of an archive, to its last byte; what is in it. */
MU_MUST_CHECK enum mu_code archive_read(catalog_source_fn *source, void *data,
                                        struct archive_contents *out, struct mu_err *err);
/* The same of bytes in memory. */
MU_MUST_CHECK enum mu_code archive_read_bytes(struct mu_span bytes, struct archive_contents *out,
                                              struct mu_err *err);
/* And `sink` is given the stream of the state, which is good only if all of it is. */
MU_MUST_CHECK enum mu_code archive_unpack(catalog_source_fn *source, void *data,
                                          catalog_sink_fn *sink, void *sink_data,
                                          struct archive_contents *out, struct mu_err *err);

#endif
