// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/lowered/chain.h"

#include "engine/ops/rules.h"

namespace fovea {
namespace {

constexpr std::array<std::string_view, 5> kKinds{"none", "unary", "unary_dx", "binary", "where"};

void check_link(const Site& s, const ChainAttrs& a, int at) {
  const Link& l = a.links[static_cast<size_t>(at)];
  if (l.kind == Link::Kind::none) s.fail(str_cat("link ", at, " does nothing"));
  if (l.kind == Link::Kind::binary && l.op >= Binary::eq) s.fail(str_cat("link ", at, " gives bool"));
  const int16_t named[] = {l.x, l.y, l.z};
  for (int i = 0; i < operands_of(l); ++i) {
    const int v = named[i];
    const bool condition = l.kind == Link::Kind::where && i == 0;
    if (v >= static_cast<int>(s.in.size()) || v < -at || (condition && v < 0))
      s.fail(str_cat("link ", at, " reads ", v, ", which there is not"));
    if (v >= 0 && (s.operand(v).dtype == DType::boolean) != condition)
      s.fail(str_cat("link ", at, " reads ", s.operand(v)));
  }
}

Metas infer_chain(const Site& s) {
  const auto& a = s.attrs<ChainAttrs>();
  if (a.size < 1 || a.size > ChainAttrs::kMostLinks || a.given < 1 || a.given > ChainAttrs::kMostResults)
    s.fail(str_cat(a.size, " links, ", a.given, " results"));
  const Meta* whole = nullptr;
  for (const Meta& m : s.in) {
    if (m.dtype != DType::f32 && m.dtype != DType::boolean) s.fail(str_cat("an operand is ", m));
    if (m.numel() == 1) continue;
    if (m.dtype == DType::boolean) s.fail(str_cat("a condition is ", m, ", not of one element"));
    if (whole && m != *whole) s.fail(str_cat("an operand is ", m, " beside ", *whole));
    whole = &m;
  }
  if (!whole || whole->strides != strides_for(whole->shape, whole->memory())) s.fail("no operand is whole and dense");
  for (int i = 0; i < a.size; ++i) check_link(s, a, i);
  for (int i = 0; i < a.given; ++i)
    if (const int r = a.results[static_cast<size_t>(i)]; r < 0 || r >= a.size)
      s.fail(str_cat("link ", r, " is a result"));
  return Metas(static_cast<size_t>(a.given), *whole);
}

}  // namespace

std::string_view name_of(Link::Kind k) { return kKinds[static_cast<size_t>(k)]; }

int operands_of(const Link& l) {
  switch (l.kind) {
    case Link::Kind::none: return 0;
    case Link::Kind::unary: return 1;
    case Link::Kind::where: return 3;
    default: return 2;
  }
}

namespace ops {
constinit const OpDef chain{.signature = "chain(xs...) -> ys",
                            .infer = infer_chain,
                            .traits = {.pointwise = true},
                            .role = Role::pointwise};
}  // namespace ops

}  // namespace fovea
