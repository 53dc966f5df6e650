// SPDX-License-Identifier: Apache-2.0
#include "engine/core/op.h"

#include <array>

#include "engine/core/eager.h"
#include "engine/core/epilogue.h"
#include "engine/core/node.h"
#include "engine/core/scope.h"

namespace fovea {
namespace {

thread_local Executor* active = nullptr;

constexpr std::array<std::string_view, static_cast<size_t>(Unary::count_)> kUnaryNames{
    "identity", "affine",     "neg",  "abs",   "sign",        "square", "sqrt",   "rsqrt",        "reciprocal",
    "exp",      "log",        "log1p", "sin",  "cos",         "erf",    "floor",  "ceil",         "round",
    "pow",      "clamp",      "logical_not", "relu", "relu6", "leaky_relu", "elu", "celu",        "selu",
    "sigmoid",  "tanh",       "silu", "mish",  "softplus",    "gelu",   "gelu_tanh", "quick_gelu", "hard_sigmoid",
    "hard_swish", "hard_mish", "expm1", "log_sigmoid"};
constexpr std::array<std::string_view, static_cast<size_t>(Role::count_)> kRoleNames{
    "other", "conv", "product", "attention", "norm", "pool", "pointwise", "move"};

}  // namespace

std::string_view name_of(Unary u) { return kUnaryNames[static_cast<size_t>(u)]; }
std::string_view name_of(Role r) { return kRoleNames[static_cast<size_t>(r)]; }

std::string_view OpDef::name() const {
  const std::string_view s = signature;
  return s.substr(0, s.find('('));
}

std::string OpDef::operand(size_t at) const {
  const std::string_view s = signature;
  size_t from = s.find('(') + 1;
  const size_t close = s.find(')', from);
  for (size_t i = 0;; ++i) {
    const size_t to = std::min(s.find(',', from), close);
    std::string_view name = s.substr(from, to - from);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    if (name.ends_with("...")) return str_cat(name.substr(0, name.size() - 3), at - i);
    if (name.ends_with('?')) name.remove_suffix(1);
    if (i == at) return std::string(name);
    if (to == close) return str_cat("operand ", at);
    from = to + 1;
  }
}

const Epilogue& OpDef::epilogue_in(AttrsRef attrs) const {
  return *reinterpret_cast<const Epilogue*>(static_cast<const std::byte*>(attrs.data) + epilogue.at);
}
void OpDef::set_epilogue(Attrs& attrs, const Epilogue& e) const {
  std::memcpy(attrs.data() + epilogue.at, &e, sizeof e);
}

void Site::fail(const std::string& what) const {
  std::string where;
  if (const std::string scope = current_scope(); !scope.empty()) where = str_cat("at ", scope, "   ");
  std::string operands;
  for (size_t i = 0; i < in.size(); ++i)
    if (in[i].present())
      operands +=
          str_cat(operands.empty() ? "" : "   ", op.operand(i), ": ", in[i], is_host(in[i].device) ? " cpu" : "");
  throw Error(Error::Kind::shape, str_cat(op.name(), ": ", what), where + operands);
}

int Site::axis(const char* name, int64_t dim, int extra) const {
  const int rank = operand(0).rank() + extra;
  const int64_t at = dim < 0 ? dim + rank : dim;
  if (at < 0 || at >= rank) fail(str_cat(name, "=", dim, " is outside a tensor of rank ", rank));
  return static_cast<int>(at);
}

void Site::want_floating(int i) const {
  if (!is_floating(operand(i).dtype))
    fail(str_cat(op.operand(static_cast<size_t>(i)), " must be floating, not ", name_of(operand(i).dtype)));
}

void Site::want_rank(int i, int rank) const {
  if (operand(i).rank() != rank)
    fail(str_cat(op.operand(static_cast<size_t>(i)), " must have rank ", rank, ", not shape ", operand(i).shape));
}

void Site::want_same_dtype() const {
  for (size_t i = 1; i < in.size(); ++i)
    if (in[i].present() && in[i].dtype != in[0].dtype)
      fail(str_cat(op.operand(0), " is ", name_of(in[0].dtype), ", but ", op.operand(i), " is ", name_of(in[i].dtype)));
}

Executor& executor() {
  static Eager eager;
  return active ? *active : eager;
}

UseExecutor::UseExecutor(Executor& e) : before_(active) { active = &e; }
UseExecutor::~UseExecutor() { active = before_; }

Tensors call(const OpDef& op, std::span<const Tensor> in, AttrsRef attrs) {
  std::vector<Meta> metas(in.size());
  for (size_t i = 0; i < in.size(); ++i)
    if (in[i]) metas[i] = in[i].meta();
  Site site{op, metas, {}, attrs};
  for (size_t i = 0, first = metas.size(); i < metas.size(); ++i) {
    if (!metas[i].present()) continue;
    if (first == metas.size()) first = i;
    if (metas[i].device != metas[first].device)
      site.fail(str_cat(op.operand(i), " is on ", metas[i].device, ", but ", op.operand(first), " is on ",
                        metas[first].device));
  }
  Metas out = op.infer(site);
  site.out = out;
  Tensors results = executor().emit(site, in, out);
  if (op.vjp && grad_enabled()) link(op, attrs, in, results);
  return results;
}

Metas same_as(const Meta& m) { return {dense_like(m, m.shape)}; }

Meta dense_like(const Meta& m, const Shape& s) { return {m.dtype, m.device, s, strides_for(s, m.memory())}; }

Shape broadcast(const Site& site, const Shape& a, const Shape& b) {
  const int rank = std::max(a.size(), b.size());
  Shape out = Dims::filled(rank, 1);
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.size()), ib = i - (rank - b.size());
    const int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    if (da != db && da != 1 && db != 1)
      site.fail(str_cat("shapes ", a, " and ", b, " do not broadcast (", da, " against ", db, ")"));
    out[i] = da == 1 ? db : da;
  }
  return out;
}

}  // namespace fovea
