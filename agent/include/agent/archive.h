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
 * Memory:  reading needs some blocks, whatever the archive claims; writing fills `to`.
 * Errors:  MU_TOO_BIG (above ARCHIVE_BYTES_MAX compressed, or 8 GiB of state), MU_CORRUPT (not
 *          an archive, cut, changed, or it contradicts itself; in the texts of the API), and those
 *          of the source and of catalog/snapshot.h.
 */
#ifndef AGENT_ARCHIVE_H
#define AGENT_ARCHIVE_H

#include "base/buf.h"
#include "catalog/snapshot.h"

#define ARCHIVE_ID_MAX 128
/* Compressed: an archive is whole in memory while it is sent. Through a client agent
 * MU_RPC_MESSAGE_MAX comes first. */
#define ARCHIVE_BYTES_MAX (64U * 1024 * 1024)

struct archive_contents {
    char id[ARCHIVE_ID_MAX];
    uint64_t version, index, term, bytes; /* bytes: of the state, uncompressed */
    struct catalog_snapshot state;
};

/* Append an archive. `source` gives the stream that `state` speaks of; `servers` is the part
 * "Configuration":...,"ConfigurationIndex":... of meta.json. On failure `to` holds a piece. */
MU_MUST_CHECK enum mu_code archive_write(const struct catalog_snapshot *state,
                                         struct mu_span servers, catalog_source_fn *source,
                                         void *data, struct mu_buf *to, struct mu_err *err);

/* Check all of an archive, to its last byte; what is in it. */
MU_MUST_CHECK enum mu_code archive_read(catalog_source_fn *source, void *data,
                                        struct archive_contents *out, struct mu_err *err);
/* The same of bytes in memory. */
MU_MUST_CHECK enum mu_code archive_read_bytes(struct mu_span bytes, struct archive_contents *out,
                                              struct mu_err *err);
/* And `sink` is given the stream of the state, which is good only if all of it is. */
MU_MUST_CHECK enum mu_code archive_unpack_bytes(struct mu_span bytes, catalog_sink_fn *sink,
                                                void *data, struct archive_contents *out,
                                                struct mu_err *err);

#endif
