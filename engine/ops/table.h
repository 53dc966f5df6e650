// SPDX-License-Identifier: Apache-2.0
// engine/ops/table.h — every op by name, with the type of its attributes: for graphs that come from files.
#pragma once
#include <span>
#include <string_view>

#include "engine/core/op.h"

namespace fovea {

struct OpRow {
  const OpDef* op;
  const AttrsType* attrs;                          // null: it has none
};
std::span<const OpRow> op_table();
const OpRow* find_op(std::string_view name);       // null when there is none

}  // namespace fovea
