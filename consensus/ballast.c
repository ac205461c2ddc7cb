#include "ballast.h"

#define SEGMENT_BYTES_MAX (16U * 1024 * 1024)
#define SEGMENT_BYTES_MIN (1024U * 1024) /* fits a value of the usual 512 KiB with its batch */
#define SHARE             32U            /* of a file system that one segment may take */
#define SPARES            4U
#define SPARES_SMALL      2U

/* Current, next, spares and ballast: a third of 512 MiB and less of anything larger; about a fifth
 * of smaller ones, a quarter of the smallest. */
struct consensus_sizes consensus__sizes_for(uint64_t total_bytes)
{
    uint32_t segment = SEGMENT_BYTES_MAX;

    while (segment > SEGMENT_BYTES_MIN && segment > total_bytes / SHARE) {
        segment /= 2;
    }
    uint32_t spares = segment == SEGMENT_BYTES_MAX ? SPARES : SPARES_SMALL;

    return (struct consensus_sizes){ segment, spares, (uint64_t)spares * segment };
}

enum mu_code consensus__ballast_open(struct consensus_ballast *b, const struct consensus_disk *disk,
                                     struct mu_err *err)
{
    uint64_t bytes = 0;
    int file = CONSENSUS_DISK_NONE;
    enum mu_code rc =
        disk->ops->open(disk->self, CONSENSUS_BALLAST_NAME, false, &file, &bytes, err);

    b->is_held = rc == MU_OK && bytes == b->bytes;
    if (rc == MU_NOT_FOUND) {
        return MU_OK;
    }
    if (rc != MU_OK) {
        return rc;
    }
    disk->ops->close(disk->self, file);
    if (b->is_held) {
        return MU_OK;
    }
    b->is_held = true; /* cut short by a crash, or made with other options */
    return consensus__ballast_release(b, disk, err);
}

enum mu_code consensus__ballast_release(struct consensus_ballast *b,
                                        const struct consensus_disk *disk, struct mu_err *err)
{
    if (!b->is_held) {
        return MU_OK;
    }
    enum mu_code rc = disk->ops->remove(disk->self, CONSENSUS_BALLAST_NAME, err);

    b->is_held = rc != MU_OK;
    return rc; /* the directory is not flushed: should it come back after a crash, so much the
                  better */
}

enum mu_code consensus__ballast_take(struct consensus_ballast *b, const struct consensus_disk *disk,
                                     uint64_t headroom, struct mu_err *err)
{
    struct mu_space space;
    uint64_t there = 0;
    int file = CONSENSUS_DISK_NONE;

    if (b->is_held || b->bytes == 0) {
        return MU_OK;
    }
    enum mu_code rc = disk->ops->space(disk->self, &space, err);

    if (rc != MU_OK) {
        return rc;
    }
    if (space.free_bytes < b->bytes + headroom) {
        return mu_fail(err, MU_FULL,
                       "%s: %llu bytes are free, %llu are needed to have a reserve again",
                       disk->ops->path(disk->self), (unsigned long long)space.free_bytes,
                       (unsigned long long)(b->bytes + headroom));
    }
    rc = disk->ops->open(disk->self, CONSENSUS_BALLAST_NAME, true, &file, &there, err);
    if (rc != MU_OK) {
        return rc;
    }
    rc = disk->ops->reserve(disk->self, file, b->bytes, err);
    disk->ops->close(disk->self, file);
    b->is_held = true;
    return rc == MU_FULL ? consensus__ballast_release(b, disk, NULL) == MU_OK ? rc : MU_IO : rc;
}
