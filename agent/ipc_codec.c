#include "agent/ipc_codec.h"

#include <string.h>

#include "base/assert.h"

/* -- reading ------------------------------------------------------------------------------------
 */

struct reader {
    const uint8_t *at;
    size_t left;
    size_t values; /* how many more there may be */
    size_t bytes_max;
    struct mu_arena *arena;
};

static enum ipc_got read_value(struct reader *r, struct ipc_value *out, unsigned depth);

static enum ipc_got read_text(struct reader *r, size_t bytes, bool is_bytes, struct ipc_value *out)
{
    if (bytes > r->bytes_max) {
        return IPC_BAD;
    }
    if (bytes > r->left) {
        return IPC_MORE;
    }
    out->kind = IPC_TEXT;
    out->is_bytes = is_bytes;
    out->text = mu_span_of(r->at, bytes);
    r->at += bytes;
    r->left -= bytes;
    return IPC_WHOLE;
}

/* Nothing is reserved for values before it is known that so many are allowed. */
static enum ipc_got read_many(struct reader *r, enum ipc_kind kind, size_t count,
                              struct ipc_value *out, unsigned depth)
{
    enum ipc_got got = IPC_WHOLE;

    if (depth >= IPC_DEPTH_MAX || count > r->values) {
        return IPC_BAD;
    }
    size_t values = kind == IPC_MAP ? 2 * count : count;

    if (values > r->values) {
        return IPC_BAD;
    }
    r->values -= values;
    out->kind = kind;
    out->many.count = count;
    out->many.items = mu_arena_array(r->arena, values, sizeof *out->many.items);
    for (size_t i = 0; i < values && got == IPC_WHOLE; i++) {
        got = read_value(r, &out->many.items[i], depth + 1);
    }
    return got;
}

/* The next `bytes` (1, 2, 4, 8), highest first. False: they are not all there. */
static bool read_raw(struct reader *r, size_t bytes, uint64_t *out)
{
    if (r->left < bytes) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < bytes; i++) {
        *out = *out << 8 | r->at[i];
    }
    r->at += bytes;
    r->left -= bytes;
    return true;
}

static int64_t widen(uint64_t raw, size_t bytes)
{
    unsigned spare = 64U - 8U * (unsigned)bytes;
    uint64_t sign = (uint64_t)1 << (63U - spare);

    return (int64_t)((raw ^ sign) - sign);
}

static enum ipc_got read_number(enum ipc_kind kind, uint64_t raw, size_t bytes,
                                struct ipc_value *out)
{
    out->kind = kind;
    if (kind == IPC_UINT) {
        out->u = raw;
    } else if (kind == IPC_SINT) {
        out->i = widen(raw, bytes);
    } else if (bytes == sizeof(float)) {
        uint32_t bits = (uint32_t)raw;
        float narrow;

        memcpy(&narrow, &bits, sizeof narrow);
        out->f = (double)narrow;
    } else {
        memcpy(&out->f, &raw, sizeof out->f);
    }
    return IPC_WHOLE;
}

/* First bytes that are followed by a number, and what that number is (the format's table). */
static const struct form {
    uint8_t first;
    enum ipc_kind kind;
    uint8_t bytes;
} forms[] = {
    { 0xc4, IPC_TEXT, 1 },  { 0xc5, IPC_TEXT, 2 },  { 0xc6, IPC_TEXT, 4 }, /* bin */
    { 0xca, IPC_FLOAT, 4 }, { 0xcb, IPC_FLOAT, 8 }, { 0xcc, IPC_UINT, 1 }, { 0xcd, IPC_UINT, 2 },
    { 0xce, IPC_UINT, 4 },  { 0xcf, IPC_UINT, 8 },  { 0xd0, IPC_SINT, 1 }, { 0xd1, IPC_SINT, 2 },
    { 0xd2, IPC_SINT, 4 },  { 0xd3, IPC_SINT, 8 },  { 0xd9, IPC_TEXT, 1 }, { 0xda, IPC_TEXT, 2 },
    { 0xdb, IPC_TEXT, 4 },  { 0xdc, IPC_LIST, 2 },  { 0xdd, IPC_LIST, 4 }, { 0xde, IPC_MAP, 2 },
    { 0xdf, IPC_MAP, 4 },
};

static enum ipc_got read_form(struct reader *r, uint8_t first, struct ipc_value *out,
                              unsigned depth)
{
    const struct form *form = NULL;
    uint64_t raw = 0;

    for (size_t i = 0; i < MU_LEN(forms) && form == NULL; i++) {
        form = forms[i].first == first ? &forms[i] : NULL;
    }
    if (form == NULL) {
        return IPC_BAD; /* 0xc1 is never used; extension types mean nothing here */
    }
    if (!read_raw(r, form->bytes, &raw)) {
        return IPC_MORE;
    }
    if (form->kind == IPC_TEXT) {
        return read_text(r, (size_t)raw, first <= 0xc6, out);
    }
    if (form->kind == IPC_LIST || form->kind == IPC_MAP) {
        return read_many(r, form->kind, (size_t)raw, out, depth);
    }
    return read_number(form->kind, raw, form->bytes, out);
}

static enum ipc_got read_value(struct reader *r, struct ipc_value *out, unsigned depth)
{
    uint64_t first = 0;

    if (!read_raw(r, 1, &first)) {
        return IPC_MORE;
    }
    if (first <= 0x7f) {
        return read_number(IPC_UINT, first, 1, out);
    }
    if (first <= 0x8f) {
        return read_many(r, IPC_MAP, first & 0x0f, out, depth);
    }
    if (first <= 0x9f) {
        return read_many(r, IPC_LIST, first & 0x0f, out, depth);
    }
    if (first <= 0xbf) {
        return read_text(r, first & 0x1f, false, out);
    }
    if (first >= 0xe0) {
        return read_number(IPC_SINT, first, 1, out);
    }
    if (first == 0xc0) {
        out->kind = IPC_NIL;
        return IPC_WHOLE;
    }
    if (first == 0xc2 || first == 0xc3) {
        out->kind = IPC_BOOL;
        out->yes = first == 0xc3;
        return IPC_WHOLE;
    }
    return read_form(r, (uint8_t)first, out, depth);
}

enum ipc_got ipc_read(struct mu_span in, struct mu_arena *arena, struct ipc_value *out,
                      size_t *used)
{
    return ipc_read_within(in, IPC_OBJECT_BYTES_MAX, IPC_VALUES_MAX, arena, out, used);
}

enum ipc_got ipc_read_within(struct mu_span in, size_t bytes_max, size_t values_max,
                             struct mu_arena *arena, struct ipc_value *out, size_t *used)
{
    struct reader r = {
        .at = in.data,
        .left = in.bytes,
        .values = values_max,
        .bytes_max = bytes_max,
        .arena = arena,
    };
    enum ipc_got got = read_value(&r, out, 0);

    *used = in.bytes - r.left;
    if (got == IPC_MORE && in.bytes >= bytes_max) {
        return IPC_BAD;
    }
    return got;
}

/* -- fields -------------------------------------------------------------------------------------
 */

struct ipc_fields ipc_fields_of(const struct ipc_value *value, struct mu_arena *arena)
{
    struct ipc_fields f = { .arena = arena };

    if (value != NULL && value->kind == IPC_MAP) {
        f.map = value;
    } else if (value != NULL && value->kind != IPC_NIL) {
        f.is_bad = true;
    }
    return f;
}

/* NULL: not there, or nil. Of several the last counts, as with Serf. */
static const struct ipc_value *find(const struct ipc_fields *f, const char *name)
{
    for (size_t i = f->map != NULL ? f->map->many.count : 0; i > 0; i--) {
        const struct ipc_value *key = &f->map->many.items[2 * (i - 1)];

        if (key->kind == IPC_TEXT && mu_span_eq_text(key->text, name)) {
            return key[1].kind == IPC_NIL ? NULL : &key[1];
        }
    }
    return NULL;
}

int64_t ipc_get_i64(struct ipc_fields *f, const char *name)
{
    const struct ipc_value *v = find(f, name);

    if (v == NULL) {
        return 0;
    }
    if (v->kind == IPC_SINT) {
        return v->i;
    }
    if (v->kind == IPC_UINT && v->u <= INT64_MAX) {
        return (int64_t)v->u;
    }
    if (v->kind == IPC_FLOAT && v->f > -9e18 && v->f < 9e18 && (double)(int64_t)v->f == v->f) {
        return (int64_t)v->f;
    }
    f->is_bad = true;
    return 0;
}

uint64_t ipc_get_u64(struct ipc_fields *f, const char *name)
{
    const struct ipc_value *v = find(f, name);

    if (v != NULL && v->kind == IPC_UINT) {
        return v->u;
    }
    int64_t i = ipc_get_i64(f, name);

    f->is_bad = f->is_bad || i < 0;
    return i < 0 ? 0 : (uint64_t)i;
}

bool ipc_get_bool(struct ipc_fields *f, const char *name)
{
    const struct ipc_value *v = find(f, name);

    if (v == NULL || v->kind == IPC_BOOL) {
        return v != NULL && v->yes;
    }
    uint64_t number = ipc_get_u64(f, name); /* as clients of old libraries have it */

    f->is_bad = f->is_bad || number > 1;
    return number == 1;
}

struct mu_span ipc_get_bytes(struct ipc_fields *f, const char *name)
{
    const struct ipc_value *v = find(f, name);

    if (v != NULL && v->kind != IPC_TEXT) {
        f->is_bad = true;
        return MU_SPAN_NONE;
    }
    return v != NULL ? v->text : MU_SPAN_NONE;
}

static const char *text_of(struct ipc_fields *f, const struct ipc_value *v)
{
    if (v->kind == IPC_NIL) {
        return "";
    }
    if (v->kind != IPC_TEXT ||
        (v->text.bytes > 0 && memchr(v->text.data, '\0', v->text.bytes) != NULL)) {
        f->is_bad = true;
        return "";
    }
    return mu_arena_text(f->arena, v->text.data, v->text.bytes);
}

const char *ipc_get_text(struct ipc_fields *f, const char *name)
{
    const struct ipc_value *v = find(f, name);

    return v != NULL ? text_of(f, v) : "";
}

struct ipc_texts ipc_get_texts(struct ipc_fields *f, const char *name)
{
    const struct ipc_value *v = find(f, name);
    struct ipc_texts texts = { NULL, 0 };

    if (v == NULL || v->kind != IPC_LIST) {
        f->is_bad = f->is_bad || v != NULL;
        return texts;
    }
    texts.items = mu_arena_array(f->arena, v->many.count, sizeof *texts.items);
    texts.count = v->many.count;
    for (size_t i = 0; i < texts.count; i++) {
        texts.items[i] = text_of(f, &v->many.items[i]);
    }
    return texts;
}

struct mu_pairs ipc_get_pairs(struct ipc_fields *f, const char *name)
{
    const struct ipc_value *v = find(f, name);
    struct mu_pairs pairs = { NULL, 0 };

    if (v == NULL || v->kind != IPC_MAP) {
        f->is_bad = f->is_bad || v != NULL;
        return pairs;
    }
    pairs.items = mu_arena_array(f->arena, v->many.count, sizeof *pairs.items);
    pairs.count = v->many.count;
    for (size_t i = 0; i < pairs.count; i++) {
        pairs.items[i].key = mu_span_text(text_of(f, &v->many.items[2 * i]));
        pairs.items[i].value = mu_span_text(text_of(f, &v->many.items[2 * i + 1]));
    }
    return pairs;
}

/* -- writing ------------------------------------------------------------------------------------
 */

/* `first`, then the lowest `bytes` of the value, highest first. */
static void put(struct mu_buf *to, uint8_t first, uint64_t value, size_t bytes)
{
    mu_buf_add_byte(to, first);
    for (size_t i = bytes; i > 0; i--) {
        mu_buf_add_byte(to, (uint8_t)(value >> (8 * (i - 1))));
    }
}

/* The shortest of 2 and 4 bytes behind `first`, `first` + 1. */
static void put_count(struct mu_buf *to, uint8_t first, size_t count)
{
    MU_ASSERT(count <= UINT32_MAX);
    if (count <= UINT16_MAX) {
        put(to, first, count, 2);
    } else {
        put(to, (uint8_t)(first + 1), count, 4);
    }
}

void ipc_put_nil(struct mu_buf *to)
{
    mu_buf_add_byte(to, 0xc0);
}

void ipc_put_bool(struct mu_buf *to, bool value)
{
    mu_buf_add_byte(to, value ? 0xc3 : 0xc2);
}

void ipc_put_u64(struct mu_buf *to, uint64_t value)
{
    if (value <= 0x7f) {
        mu_buf_add_byte(to, (uint8_t)value);
    } else if (value <= UINT8_MAX) {
        put(to, 0xcc, value, 1);
    } else if (value <= UINT16_MAX) {
        put(to, 0xcd, value, 2);
    } else if (value <= UINT32_MAX) {
        put(to, 0xce, value, 4);
    } else {
        put(to, 0xcf, value, 8);
    }
}

/* Always eight bytes: clients know no other form. */
void ipc_put_f64(struct mu_buf *to, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    put(to, 0xcb, bits, sizeof bits);
}

void ipc_put_span(struct mu_buf *to, struct mu_span text)
{
    if (text.bytes <= 31) {
        mu_buf_add_byte(to, (uint8_t)(0xa0 | text.bytes));
    } else if (text.bytes <= UINT8_MAX) {
        put(to, 0xd9, text.bytes, 1);
    } else {
        put_count(to, 0xda, text.bytes);
    }
    mu_buf_add_span(to, text);
}

void ipc_put_text(struct mu_buf *to, const char *text)
{
    ipc_put_span(to, mu_span_text(text));
}

void ipc_put_bytes(struct mu_buf *to, struct mu_span bytes)
{
    if (bytes.bytes == 0) {
        ipc_put_nil(to);
        return;
    }
    if (bytes.bytes <= UINT8_MAX) {
        put(to, 0xc4, bytes.bytes, 1);
    } else {
        put_count(to, 0xc5, bytes.bytes);
    }
    mu_buf_add_span(to, bytes);
}

void ipc_put_list(struct mu_buf *to, size_t count)
{
    if (count <= 15) {
        mu_buf_add_byte(to, (uint8_t)(0x90 | count));
    } else {
        put_count(to, 0xdc, count);
    }
}

void ipc_put_map(struct mu_buf *to, size_t count)
{
    if (count <= 15) {
        mu_buf_add_byte(to, (uint8_t)(0x80 | count));
    } else {
        put_count(to, 0xde, count);
    }
}
