// SPDX-License-Identifier: Apache-2.0
// test/kernels/conv_gradients.cpp — transposed convolutions and the gradients of convolutions, cpu against ref.
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "kernels/cpu/conv/transposed.h"
#include "test/kernels/against_ref.h"
#include "test/kernels/run_packed.h"
#include "test/support/catch.h"

using namespace fovea;
using fovea::test::check_against_ref;
using fovea::test::filled;
using fovea::test::relative_error;
using fovea::test::values_of;
namespace kc = fovea::kernels::cpu;

namespace {

struct Case {
  Shape gy, w;                                     // w [O, C / groups, ...]
  ConvAttrs attrs;
};
Dims spatial(const Shape& s) { return Dims(s.begin() + 2, s.end()); }
Case case_of(int64_t batch, const Shape& w, const Dims& size, const Dims& stride, const Dims& pad, int64_t groups = 1,
             Dims dilation = {}) {
  ConvAttrs a{.stride = stride, .dilation = dilation, .pad_lo = pad, .pad_hi = pad, .groups = groups, .size = size};
  if (dilation.empty()) a.dilation = Dims::filled(stride.size(), 1);
  Shape gy{batch, w[0]};
  for (int i = 0; i < size.size(); ++i)
    gy.push_back((size[i] + 2 * pad[i] - a.dilation[i] * (w[2 + i] - 1) - 1) / stride[i] + 1);
  return {gy, w, a};
}

std::vector<Case> cases() {
  return {case_of(2, {20, 24, 1, 1}, {9, 7}, {1, 1}, {0, 0}),
          case_of(1, {33, 17, 1, 1}, {9, 8}, {2, 2}, {0, 0}),
          case_of(2, {40, 36, 3, 3}, {17, 19}, {1, 1}, {1, 1}),
          case_of(1, {24, 20, 3, 3}, {16, 15}, {2, 2}, {1, 1}),
          case_of(2, {20, 24, 2, 2}, {12, 10}, {2, 2}, {0, 0}),
          case_of(1, {16, 5, 4, 4}, {21, 20}, {4, 4}, {0, 0}),
          case_of(1, {9, 8, 7, 7}, {22, 23}, {2, 2}, {3, 3}),
          case_of(1, {10, 8, 3, 3}, {14, 13}, {1, 1}, {2, 2}, 1, {2, 2}),
          case_of(1, {10, 8, 2, 5}, {14, 13}, {3, 1}, {1, 2}),
          case_of(1, {10, 8, 2, 2}, {14, 13}, {3, 3}, {0, 0}),             // some places see nothing
          case_of(1, {24, 20, 2, 2}, {9, 9}, {2, 2}, {1, 1}),              // windows begin inside of gy
          case_of(1, {32, 1, 1, 1}, {9, 9}, {1, 1}, {1, 2}, 32),
          case_of(1, {12, 9, 2, 2}, {9, 9}, {2, 2}, {0, 1}),
          case_of(2, {20, 18, 3, 3}, {16, 13}, {2, 2}, {2, 2}, 1, {2, 2}),
          case_of(1, {20, 18, 4, 5}, {17, 23}, {2, 6}, {1, 3}, 1, {3, 4}),
          case_of(2, {24, 4, 3, 3}, {11, 10}, {1, 1}, {1, 1}, 4),
          case_of(2, {24, 3, 3, 3}, {11, 10}, {2, 2}, {1, 1}, 4),
          case_of(2, {32, 1, 3, 3}, {11, 13}, {1, 1}, {1, 1}, 32),
          case_of(2, {32, 1, 5, 5}, {14, 13}, {2, 2}, {2, 2}, 32),
          case_of(1, {64, 1, 3, 3}, {9, 9}, {2, 2}, {1, 1}, 32),           // two outputs a group
          case_of(8, {70, 1, 7, 7}, {20, 19}, {1, 1}, {3, 3}, 70),
          case_of(1, {16, 1, 3, 2}, {11, 9}, {1, 1}, {2, 1}, 16, {2, 1}),
          case_of(2, {24, 1, 5}, {40}, {2}, {2}, 24),
          case_of(2, {12, 10, 3}, {40}, {2}, {1}),
          case_of(1, {6, 4, 3, 2, 3}, {6, 5, 7}, {2, 1, 1}, {1, 0, 1})};
}

Tensor in_order(const Tensor& x, bool last) { return last ? contiguous(x, Memory::channels_last) : x; }

}  // namespace

TEST_CASE("cpu: gradients of convolutions with respect to images and weights", "[cpu]") {
  for (const Case& c : cases()) {
    INFO("w " << to_string(c.w) << " stride " << to_string(c.attrs.stride) << " groups " << c.attrs.groups);
    for (const bool last : {false, true}) {
      const Tensor gy = in_order(filled("gy", c.gy), last), w = in_order(filled("w", c.w), last);
      Shape x{c.gy[0], c.w[1] * c.attrs.groups};
      for (const int64_t n : c.attrs.size) x.push_back(n);
      ConvAttrs dw = c.attrs;
      dw.size = spatial(c.w);
      check_against_ref([&] { return Tensors{call1(ops::conv_dx, {gy, w}, c.attrs)}; }, 3e-6);
      const bool ours = c.attrs.groups == x[1] && c.w[0] == x[1];   // others are oneDNN's, where it serves
      const Tensor images = in_order(filled("x", x), last);
      const auto weights = [&] { return Tensors{call1(ops::conv_dw, {gy, images}, dw)}; };
      if (ours) check_against_ref(weights, 3e-6);
    }
  }
}

TEST_CASE("cpu: gradients of dense weights, in pieces", "[cpu]") {
  for (const int64_t batch : {1, 2, 9})
    for (const bool last : {false, true}) {
      const Case c = case_of(batch, {80, 24, 3, 3}, {11, 10}, {2, 2}, {1, 1});
      const Tensor gy = in_order(filled("gy", c.gy), last), x = in_order(filled("x", {batch, 24, 11, 10}), last);
      ConvAttrs dw = c.attrs;
      dw.size = {3, 3};
      Tensor expected;
      {
        const UseBackend ref("ref");
        expected = call1(ops::conv_dw, {gy, x}, dw);
      }
      Tensors got;
      for (const int n : {1, 3}) {
        const UseThreads use(n);
        got.push_back(call1(ops::conv_dw, {gy, x}, dw));
        CHECK(relative_error(values_of(got.back()), values_of(expected)) < 3e-6);
      }
      CHECK(values_of(got[0]) == values_of(got[1]));
    }
}

TEST_CASE("cpu: transposed convolutions with weights that are packed, and with others", "[cpu]") {
  for (const Case& c : cases())
    for (const kc::Processor* kind : test::processors_by_loops())
      for (const bool last : {false, true})
        for (const bool constant : {false, true}) {
          INFO("w " << to_string(c.w) << " stride " << to_string(c.attrs.stride) << " groups " << c.attrs.groups << ", "
                    << kind->name << (last ? ", channels last" : "") << (constant ? ", packed" : ""));
          const kc::UseProcessor use(*kind);
          const Tensor gy = in_order(filled("gy", c.gy), last), w = in_order(filled("w", c.w), last);
          Tensor expected;
          {
            const UseBackend ref("ref");
            expected = call1(ops::conv_dx, {gy, w}, c.attrs);
          }
          const Metas in{gy.meta(), w.meta()}, out{expected.meta()};
          const uint32_t constants = constant ? 0b10u : 0u;
          const PlanPtr plan = kc::plan_transposed({ops::conv_dx, in, out, AttrsRef::of(c.attrs), constants});
          REQUIRE(plan);
          CHECK(plan->packed_bytes(1) > 0);
          const Tensor got = test::run_packed(*plan, {gy, w}, constants, expected.meta());
          CHECK(relative_error(values_of(got), values_of(expected)) < 3e-6);
        }
}
