// SPDX-License-Identifier: Apache-2.0
// engine/ops/lowered/chain.h — pointwise ops one after the other as one, so that memory is read and written once.
#pragma once
#include <array>

#include "engine/ops/ops.h"

namespace fovea {

/// One of them. x, y and z are operands of the chain, or -1, -2, ... for what the first, second, ... link gave.
struct Link {
  enum class Kind : uint8_t { none, unary, unary_dx, binary, where };
  Kind kind = Kind::none;
  Unary fn = Unary::identity;
  Binary op = Binary::add;
  float a = 0, b = 0;
  int16_t x = 0, y = 0, z = 0;                     // where: condition, then, else
};
std::string_view name_of(Link::Kind k);
constexpr Link::Kind last_of(Link::Kind) { return Link::Kind::where; }
FOVEA_ATTRS(Link, kind, fn, op, a, b, x, y, z)
/// How many of x, y and z a link reads.
int operands_of(const Link& l);

struct ChainAttrs {
  static constexpr int kMostLinks = 24, kMostResults = 6;
  std::array<Link, kMostLinks> links{};
  std::array<int16_t, kMostResults> results{};     // links
  int16_t size = 0, given = 0;                     // of the two
};
FOVEA_ATTRS(ChainAttrs, links, results, size, given)

namespace ops {
/// Operands are f32, all of one shape and lying alike, or of one element; conditions are bool of one element. Results
/// are as the larger operands.
extern const OpDef chain;
}  // namespace ops

}  // namespace fovea
