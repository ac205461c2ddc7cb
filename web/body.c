#include "body.h"

void body_refuse(struct request *r, const struct mu_err *err)
{
    answer_textf(r, 400, "Request decode failed: %s", err->text);
}

bool body_parse(struct request *r, struct mu_json **root)
{
    struct mu_err err = MU_ERR_NONE;

    if (mu_json_parse(root, mu_buf_span(&r->body), false, &err) == MU_OK) {
        return true;
    }
    body_refuse(r, &err);
    return false;
}

bool body_decode(struct request *r, const struct mu_json_shape *shape, void *to,
                 struct mu_json **root)
{
    struct mu_json *tree = NULL;
    struct mu_err err = MU_ERR_NONE;

    if (!body_parse(r, &tree)) {
        return false;
    }
    if (mu_json_decode(tree, shape, to, &r->arena, &err) != MU_OK) {
        mu_json_free(tree);
        body_refuse(r, &err);
        return false;
    }
    if (root != NULL) {
        *root = tree;
    } else {
        mu_json_free(tree);
    }
    return true;
}
