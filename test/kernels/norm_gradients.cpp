// SPDX-License-Identifier: Apache-2.0
// test/kernels/norm_gradients.cpp — gradients of batch and layer norm in one pass are those that public ops make.
#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/ops/gradients.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"

using namespace fovea;
using fovea::test::relative_error;
using fovea::test::values_of;

namespace {

Tensor filled(const char* name, const Shape& s, DType t = DType::f32) {
  std::vector<float> v(static_cast<size_t>(numel(s)));
  for (size_t i = 0; i < v.size(); ++i) v[i] = hash_uniform(fnv1a(name), i) * 2 + 0.5f;
  return cast(from<float>(v, s), t);
}

// Of sum(f(leaves) weights), in one pass or, because it could be differentiated again, by public ops.
template <class F>
Tensors gradients(const F& f, const Tensors& values, bool again) {
  Tensors leaves;
  for (const Tensor& t : values) {
    Tensor leaf = t.detach();
    leaf.set_requires_grad();
    leaves.push_back(leaf);
  }
  const Tensor y = f(leaves), loss = sum(y * filled("gy", y.shape(), y.dtype()));
  return grad(std::span(&loss, 1), leaves, {}, again);
}

template <class F>
void check_gradients(const F& f, const Tensors& values, double most) {
  const Tensors once = gradients(f, values, false), apart = gradients(f, values, true);
  for (size_t i = 0; i < values.size(); ++i) {
    INFO("gradient " << i << " of " << values[i].meta().shape.size() << " dimensions");
    CHECK(relative_error(values_of(once[i]), values_of(apart[i].detach())) < most);
  }
}

}  // namespace

TEST_CASE("cpu: the gradient of batch norm is that of its parts", "[cpu]") {
  for (const Shape& s : {Shape{3, 20, 9, 5}, Shape{2, 5, 16, 16}, Shape{6, 33}, Shape{4, 3, 7}, Shape{2, 150, 1, 1}})
    for (const bool last : {false, true})
      for (const bool affine : {true, false})
        for (const char* backend : {"cpu", "ref"}) {
          if (last && s.size() != 4) continue;
          INFO(backend << (last ? ", channels last" : "") << (affine ? ", affine" : "") << ", rank " << s.size());
          const UseBackend use(backend);
          Tensors values{filled("x", s)};
          if (last) values[0] = contiguous(values[0], Memory::channels_last);
          if (affine) values.insert(values.end(), {filled("w", {s[1]}), filled("b", {s[1]})});
          check_gradients(
              [&](const Tensors& v) {
                return affine ? batch_norm_train(v[0], v[1], v[2], 1e-3).y : batch_norm_train(v[0], {}, {}, 1e-3).y;
              },
              values, 2e-5);
        }
}

TEST_CASE("cpu: the gradient of layer norm is that of its parts", "[cpu]") {
  for (const int64_t n : {3, 16, 77, 200})
    for (const bool affine : {true, false})
      for (const char* backend : {"cpu", "ref"}) {
        INFO(backend << ", " << n << " values" << (affine ? ", affine" : ""));
        const UseBackend use(backend);
        Tensors values{filled("x", {5, 13, n})};
        if (affine) values.insert(values.end(), {filled("w", {n}), filled("b", {n})});
        check_gradients(
            [&](const Tensors& v) {
              return affine ? layer_norm(v[0], v[1], v[2], 1e-3) : layer_norm(v[0], {}, {}, 1e-3);
            },
            values, 2e-5);
      }
}

TEST_CASE("gradients of norms refuse what does not go together", "[op]") {
  const Tensor x = zeros({2, 3, 4, 4}), v = zeros({3}), w = zeros({4});
  CHECK_THROWS_AS(call(ops::batch_norm_dx, {x, zeros({2, 3, 4, 5}), v, v, v}), Error);
  CHECK_THROWS_AS(call(ops::batch_norm_dx, {x, x, w, v, v}), Error);
  CHECK_THROWS_AS(call(ops::batch_norm_dx, {x, x, v, w, v}), Error);
  CHECK_THROWS_AS(call(ops::layer_norm_dx, {x, x, v}, NormAttrs{}), Error);
}
