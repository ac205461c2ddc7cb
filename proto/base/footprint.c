#include "base/footprint.h"

#include <link.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KEPT_BYTES   (1024 * 1024)
#define MAPPED_BYTES (4 * KEPT_BYTES) /* a batch of entries is smaller */

/* A debugger's breakpoints are private copies of pages of text: they would be gone. */
static bool is_traced(void)
{
    char line[128];
    bool traced = false;
    FILE *f = fopen("/proc/self/status", "re");

    if (f == NULL) {
        return true; /* who knows */
    }
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "TracerPid:", 10) == 0) {
            traced = strcmp(line + 10, "\t0\n") != 0;
            break;
        }
    }
    (void)fclose(f);
    return traced;
}

/* Segments that are mapped without the right to write hold exactly what is in the file, so nothing
 * is lost. Those that were written for relocation and protected afterwards have that right in the
 * header, and stay. */
static int release_image(struct dl_phdr_info *image, size_t bytes, void *data)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)bytes;
    (void)data;
    for (unsigned i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &image->dlpi_phdr[i];
        uintptr_t from = (image->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t end = (image->dlpi_addr + p->p_vaddr + p->p_filesz + page - 1) & ~(page - 1);

        if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0) {
            (void)madvise((void *)from, end - from, MADV_DONTNEED); /* advice: no harm in a no */
        }
    }
    return 0;
}

void mu_footprint_shrink(void)
{
    (void)malloc_trim(0);
    if (!is_traced()) {
        (void)dl_iterate_phdr(release_image, NULL);
    }
}

/* Pages that are this process' own, in bytes; 0: who knows. */
static size_t own_bytes(void)
{
    unsigned long total;
    unsigned long resident;
    unsigned long shared;
    size_t bytes = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL) {
        return 0;
    }
    if (fscanf(f, "%lu %lu %lu", &total, &resident, &shared) == 3 && resident > shared) {
        bytes = (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
    }
    (void)fclose(f);
    return bytes;
}

bool mu_footprint_is_loose(size_t bytes)
{
    size_t own = own_bytes();

    if (own < bytes) {
        return false; /* most of the time: the heap need not be looked through */
    }
    struct mallinfo2 heap = mallinfo2();

    return own >= heap.uordblks + heap.hblkhd + bytes;
}

void mu_footprint_bound(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES); /* or it grows with what is freed, to 32 MiB */
}
