/* command_check.h - judging the fields of each kind of command; for command.c only.
 *
 * Errors:  MU_INVALID, naming the field and its bound.
 */
#ifndef MU_PROTO_COMMAND_CHECK_H
#define MU_PROTO_COMMAND_CHECK_H

#include "proto/command.h"

enum mu_code command__check_register(const struct command *c, struct mu_err *err);
enum mu_code command__check_deregister(const struct command *c, struct mu_err *err);
enum mu_code command__check_kv_set(const struct command *c, struct mu_err *err);
enum mu_code command__check_kv_delete(const struct command *c, struct mu_err *err);
enum mu_code command__check_autopilot(const struct command *c, struct mu_err *err);
enum mu_code command__check_coordinates(const struct command *c, struct mu_err *err);
enum mu_code command__check_kv_lock(const struct command *c, struct mu_err *err);
enum mu_code command__check_kv_compact(const struct command *c, struct mu_err *err);
enum mu_code command__check_txn(const struct command *c, struct mu_err *err);
enum mu_code command__check_txn_catalog(const struct command *c, struct mu_err *err);
enum mu_code command__check_session_create(const struct command *c, struct mu_err *err);
enum mu_code command__check_session_destroy(const struct command *c, struct mu_err *err);
enum mu_code command__check_stage(const struct command *c, struct mu_err *err);
enum mu_code command__check_restore(const struct command *c, struct mu_err *err);

#endif
