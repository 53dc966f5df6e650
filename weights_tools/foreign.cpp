// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/foreign.h"

#include "engine/core/deferred.h"

namespace fovea {
namespace {
struct Foreign final : Deferred {
  Foreign(std::string k, Error e) : kind(std::move(k)), why(std::move(e)) {}
  void write(std::byte*) override { throw why; }
  std::string kind;
  Error why;
};
}  // namespace

Tensor foreign_tensor(const Shape& shape, std::string kind, Error why) {
  Tensor t = deferred_tensor(make_meta(DType::u8, shape), std::make_shared<Foreign>(std::move(kind), std::move(why)));
  t.impl()->storage->bytes = 0;  // none are made before `why` is thrown
  return t;
}

const std::string* foreign_kind(const Tensor& t) {
  if (!t || !t.impl()->storage) return nullptr;
  const auto* foreign = dynamic_cast<const Foreign*>(t.impl()->storage->deferred.get());
  return foreign ? &foreign->kind : nullptr;
}

}  // namespace fovea
