// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/table.h"

#include <algorithm>

#include "engine/ops/gradients.h"
#include "engine/ops/lowered/chain.h"
#include "engine/ops/lowered/fused.h"
#include "engine/ops/lowered/quant.h"
#include "engine/ops/peers.h"
#include "engine/ops/recurrent.h"

namespace fovea {
namespace {

template <class A>
constexpr OpRow row(const OpDef& op) { return {&op, &AttrsTraits<A>::type}; }

constexpr OpRow kTable[] = {
    row<CastAttrs>(ops::cast),
    row<UnaryAttrs>(ops::unary),
    row<UnaryAttrs>(ops::unary_dx),
    row<BinaryAttrs>(ops::binary),
    {&ops::where, nullptr},
    row<ReduceAttrs>(ops::reduce),
    row<ArgReduceAttrs>(ops::argreduce),
    row<AxisAttrs>(ops::cumsum),
    row<TopkAttrs>(ops::topk),
    row<AxisAttrs>(ops::softmax),
    row<AxisAttrs>(ops::log_softmax),
    row<ShapeAttrs>(ops::reshape),
    row<PermuteAttrs>(ops::permute),
    row<SliceAttrs>(ops::slice),
    row<ShapeAttrs>(ops::expand),
    row<CopyAttrs>(ops::copy),
    row<AxisAttrs>(ops::cat),
    row<PadAttrs>(ops::pad),
    row<PadAttrs>(ops::pad_dx),
    row<SliceAttrs>(ops::unslice),
    row<DimsAttrs>(ops::flip),
    row<DimsAttrs>(ops::roll),
    row<AxisAttrs>(ops::gather),
    row<AxisAttrs>(ops::scatter_add),
    row<AxisAttrs>(ops::index_select),
    row<AxisAttrs>(ops::index_add),
    row<MatmulAttrs>(ops::matmul),
    row<LinearAttrs>(ops::linear),
    row<ConvAttrs>(ops::conv),
    row<ConvAttrs>(ops::conv_dx),
    row<ConvAttrs>(ops::conv_dw),
    row<UnfoldAttrs>(ops::unfold),
    row<UnfoldAttrs>(ops::fold),
    row<NormAttrs>(ops::batch_norm),
    row<NormAttrs>(ops::batch_norm_eval),
    {&ops::batch_norm_dx, nullptr},
    row<NormAttrs>(ops::layer_norm_dx),
    row<NormAttrs>(ops::layer_norm),
    row<NormAttrs>(ops::rms_norm),
    row<NormAttrs>(ops::group_norm),
    row<AttentionAttrs>(ops::sdpa),
    row<PoolAttrs>(ops::max_pool),
    row<PoolAttrs>(ops::avg_pool),
    row<PoolAttrs>(ops::avg_pool_dx),
    row<AdaptivePoolAttrs>(ops::adaptive_avg_pool),
    row<AdaptivePoolAttrs>(ops::adaptive_avg_pool_dx),
    row<AdaptivePoolAttrs>(ops::adaptive_max_pool),
    row<InterpolateAttrs>(ops::interpolate),
    row<InterpolateAttrs>(ops::interpolate_dx),
    row<RandomAttrs>(ops::random),
    {&ops::peers_begin, nullptr},
    {&ops::peers_end, nullptr},
    row<AxisAttrs>(ops::lstm),
    row<AxisAttrs>(ops::lstm_dx),
    row<ScaleShiftAttrs>(ops::scale_shift),
    row<ChainAttrs>(ops::chain),
    row<QuantAttrs>(ops::quantize),
    row<QuantAttrs>(ops::quantize_fine),
    row<QuantAttrs>(ops::dequantize),
    row<QuantConvAttrs>(ops::quant_conv),
    row<QuantConvAttrs>(ops::quant_depthwise),
    row<LinearAttrs>(ops::half_linear),
    row<QuantGateAttrs>(ops::quant_gate),
    row<QuantAttrs>(ops::quant_mean),
    row<PoolAttrs>(ops::quant_max_pool),
};

}  // namespace

std::span<const OpRow> op_table() { return kTable; }

const OpRow* find_op(std::string_view name) {
  const OpRow* const found =
      std::find_if(std::begin(kTable), std::end(kTable), [&](const OpRow& r) { return r.op->name() == name; });
  return found == std::end(kTable) ? nullptr : found;
}

}  // namespace fovea
