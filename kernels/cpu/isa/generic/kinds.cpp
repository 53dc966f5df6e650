// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/kinds.cpp — the one kind of processor where its family has no folder.
#include "kernels/cpu/isa/assembled.h"
#include "kernels/cpu/isa/generic/sets.h"
#include "kernels/cpu/isa/processor.h"

namespace fovea::kernels::cpu {
namespace {

Processor plain() {
  return {.name = "plain",
          .f32 = assembled<plain::fill_products, plain::fill_depthwise, plain::fill_depthwise_u8, plain::fill_functions,
                           plain::fill_reductions>("plain"),
          .halves = &halves_plain,
          .u8_tiles = &quant_plain,
          .u8 = &quant_loops_plain,
          .costs = kUsualCosts};
}
constexpr Kind kKinds[] = {{[] { return true; }, plain}};

}  // namespace

std::span<const Kind> known_kinds() { return kKinds; }

}  // namespace fovea::kernels::cpu
