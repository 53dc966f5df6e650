// SPDX-License-Identifier: Apache-2.0
// engine/ops/attrs.h — the attributes of every op, as the graph and the kernels see them (users call ops.h).
#pragma once
#include "engine/core/epilogue.h"

namespace fovea {

struct CastAttrs {
  DType to = DType::f32;
};
FOVEA_ATTRS(CastAttrs, to)

struct UnaryAttrs {                                // unary, unary_dx
  Unary fn = Unary::identity;
  float a = 0, b = 0;
};
FOVEA_ATTRS(UnaryAttrs, fn, a, b)

enum class Binary : uint8_t {
  add, sub, mul, div, pow, maximum, minimum, remainder, floor_divide,   // remainder: sign of the divisor, as Python
  eq, ne, lt, le, gt, ge, logical_and, logical_or,                      // these give bool
  count_
};
std::string_view name_of(Binary b);
constexpr Binary last_of(Binary) { return Binary::logical_or; }
struct BinaryAttrs {
  Binary fn = Binary::add;
};
FOVEA_ATTRS(BinaryAttrs, fn)

enum class Reduce : uint8_t { sum, mean, max, min, prod, any, all, sum_squares };
std::string_view name_of(Reduce r);
constexpr Reduce last_of(Reduce) { return Reduce::sum_squares; }
struct ReduceAttrs {
  Reduce fn = Reduce::sum;
  Dims axes{};                                     // sorted, not negative
  bool keepdim = false;
};
FOVEA_ATTRS(ReduceAttrs, fn, axes, keepdim)

struct ArgReduceAttrs {                            // index of the first largest (or smallest) element
  int32_t dim = 0;
  bool largest = true, keepdim = false;
};
FOVEA_ATTRS(ArgReduceAttrs, dim, largest, keepdim)

struct AxisAttrs {                                 // softmax, log_softmax, cumsum, cat and what takes indices
  int32_t dim = 0;
  int64_t size = 0;                                // index_add: length of the result along dim
};
FOVEA_ATTRS(AxisAttrs, dim, size)

struct TopkAttrs {
  int32_t dim = 0;
  int64_t k = 1;
  bool largest = true;                             // results are sorted; equal values keep their order
};
FOVEA_ATTRS(TopkAttrs, dim, k, largest)

struct ShapeAttrs {                                // reshape, expand
  Dims shape;
};
FOVEA_ATTRS(ShapeAttrs, shape)

struct PermuteAttrs {
  Dims order;
};
FOVEA_ATTRS(PermuteAttrs, order)

struct SliceAttrs {                                // slice; unslice puts the operand into zeros of `size` along dim
  int32_t dim = 0;
  int64_t start = 0, stop = 0, step = 1;           // normalised: 0 <= start <= stop <= size, step >= 1
  int64_t size = 0;                                // unslice only
};
FOVEA_ATTRS(SliceAttrs, dim, start, stop, step, size)

struct CopyAttrs {                                 // the same values, dense in this memory order
  Memory memory = Memory::contiguous;
};
FOVEA_ATTRS(CopyAttrs, memory)

enum class PadMode : uint8_t { constant, reflect, replicate, circular };
std::string_view name_of(PadMode m);
constexpr PadMode last_of(PadMode) { return PadMode::circular; }
struct PadAttrs {                                  // pad, pad_dx (its adjoint); negative amounts crop (constant only)
  Dims lo, hi;                                     // per dimension
  PadMode mode = PadMode::constant;
  float value = 0;
};
FOVEA_ATTRS(PadAttrs, lo, hi, mode, value)

struct DimsAttrs {                                 // flip: axes. roll: axes and shifts
  Dims axes, shifts;
};
FOVEA_ATTRS(DimsAttrs, axes, shifts)

struct MatmulAttrs {                               // batched, leading dimensions broadcast; y = scale * op(a) op(b)
  bool transpose_a = false, transpose_b = false;
  float scale = 1;
};
FOVEA_ATTRS(MatmulAttrs, transpose_a, transpose_b, scale)

struct LinearAttrs {                               // y = x w^T + b, x [..., K], w [N, K]
  Epilogue epilogue;
};
FOVEA_ATTRS(LinearAttrs, epilogue)

struct ConvAttrs {                                 // conv, conv_dx, conv_dw; 1 to 3 spatial dimensions
  Dims stride, dilation, pad_lo, pad_hi;           // one entry per spatial dimension
  int64_t groups = 1;
  Dims size;                                       // conv_dx: spatial size of x. conv_dw: spatial size of w
  Epilogue epilogue;                               // conv only
};
static_assert(sizeof(ConvAttrs) <= 512);
FOVEA_ATTRS(ConvAttrs, stride, dilation, pad_lo, pad_hi, groups, size, epilogue)

struct NormAttrs {                                 // batch_norm, batch_norm_eval, layer_norm, rms_norm, group_norm
  float eps = 1e-5f;
  int32_t dims = 1;                                // layer_norm, rms_norm: trailing dimensions normalised together
  int32_t groups = 1;                              // group_norm
};
FOVEA_ATTRS(NormAttrs, eps, dims, groups)

struct AttentionAttrs {                            // sdpa
  float scale = 1;                                 // of q k^T
  bool causal = false;
};
FOVEA_ATTRS(AttentionAttrs, scale, causal)

struct PoolAttrs {                                 // max_pool, avg_pool, avg_pool_dx; 1 to 3 spatial dimensions
  Dims kernel, stride, pad_lo, pad_hi, dilation;
  bool ceil_mode = false, count_include_pad = true;
  bool values_only = false;                        // max_pool: its one result is y
  int32_t divisor = 0;                             // avg: divides by this when not 0
  Dims size;                                       // avg_pool_dx: spatial size of x
};
FOVEA_ATTRS(PoolAttrs, kernel, stride, pad_lo, pad_hi, dilation, ceil_mode, count_include_pad, values_only, divisor,
            size)

struct AdaptivePoolAttrs {                         // adaptive_avg_pool, adaptive_avg_pool_dx, adaptive_max_pool
  Dims size;                                       // spatial size of the result (dx: of x)
};
FOVEA_ATTRS(AdaptivePoolAttrs, size)

enum class Interpolation : uint8_t { nearest, linear, cubic };
std::string_view name_of(Interpolation m);
constexpr Interpolation last_of(Interpolation) { return Interpolation::cubic; }
struct InterpolateAttrs {                          // interpolate, interpolate_dx; 1 to 3 spatial dimensions (cubic: 2)
  Interpolation mode = Interpolation::nearest;
  bool align_corners = false, antialias = false;
  Dims size;                                       // spatial size of the result (dx: of x)
  std::array<double, 3> scale{};                   // result/x per dimension as given by the caller; 0: from the sizes
};
FOVEA_ATTRS(InterpolateAttrs, mode, align_corners, antialias, size, scale)

struct UnfoldAttrs {                               // unfold [N,C,H,W] -> [N, C kh kw, L]; fold is its adjoint
  Dims kernel, stride, pad, dilation;              // two entries each
  Dims size;                                       // fold: H, W of the result
};
FOVEA_ATTRS(UnfoldAttrs, kernel, stride, pad, dilation, size)

enum class Random : uint8_t { uniform, normal, bernoulli };           // [0, 1); mean 0, std 1; 1 with p, else 0
std::string_view name_of(Random r);
constexpr Random last_of(Random) { return Random::bernoulli; }
struct RandomAttrs {                               // Philox 4x32-10: the same numbers on every device and thread count
  Random kind = Random::uniform;
  DType dtype = DType::f32;
  float p = 0.5f;
  Dims shape;
  int64_t key = 0;
  Device device{};
};
FOVEA_ATTRS(RandomAttrs, kind, dtype, p, shape, key, device)

}  // namespace fovea
