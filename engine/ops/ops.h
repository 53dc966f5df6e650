// SPDX-License-Identifier: Apache-2.0
// engine/ops/ops.h — every public op: the primitives that kernels implement, and what is written in terms of them.
#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/op.h"
#include "engine/ops/attrs.h"

namespace fovea {

namespace ops {
// One constant an op; schema, shape rule and gradient stand together in engine/ops/<group>.cpp.
extern const OpDef cast, unary, unary_dx, binary, where;                                       // pointwise.cpp
extern const OpDef reduce, argreduce, cumsum, topk, softmax, log_softmax;                      // reduce.cpp
extern const OpDef reshape, permute, slice, expand, copy;                                      // view.cpp
extern const OpDef cat, pad, pad_dx, unslice, flip, roll;                                      // arrange.cpp
extern const OpDef gather, scatter_add, index_select, index_add;                               // index.cpp
extern const OpDef matmul, linear;                                                             // matmul.cpp
extern const OpDef conv, conv_dx, conv_dw, unfold, fold;                                       // conv.cpp
extern const OpDef batch_norm, batch_norm_eval, layer_norm, rms_norm, group_norm;              // norm.cpp
extern const OpDef sdpa;                                                                       // attention.cpp
extern const OpDef max_pool, avg_pool, avg_pool_dx;                                            // pool.cpp
extern const OpDef adaptive_avg_pool, adaptive_avg_pool_dx, adaptive_max_pool;                 // pool.cpp
extern const OpDef interpolate, interpolate_dx;                                                // resize.cpp
extern const OpDef random;                                                                     // random.cpp
}  // namespace ops

// ---- pointwise --------------------------------------------------------------------------------------------------
// Operands of a binary op broadcast as in NumPy. Mixed dtypes are promoted (bool < u8 < i8 < i32 < i64 < f16, bf16 <
// f32 < f64; f16 with bf16 gives f32); a C++ number takes the tensor's dtype.
Tensor cast(const Tensor& x, DType to);            // x itself when it has that dtype
Tensor unary(const Tensor& x, Unary fn, float a = 0, float b = 0);
Tensor unary_dx(const Tensor& gy, const Tensor& x, Unary fn, float a = 0, float b = 0);   // gy * fn'(x)
Tensor binary(const Tensor& a, const Tensor& b, Binary fn);
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);   // condition bool

Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& x);
Tensor operator+(const Tensor& x, double v);
Tensor operator-(const Tensor& x, double v);
Tensor operator*(const Tensor& x, double v);
Tensor operator/(const Tensor& x, double v);
Tensor operator+(double v, const Tensor& x);
Tensor operator-(double v, const Tensor& x);
Tensor operator*(double v, const Tensor& x);
Tensor operator/(double v, const Tensor& x);
Tensor affine(const Tensor& x, double a, double b);                         // a x + b
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& x, double exponent);
Tensor pow(const Tensor& x, const Tensor& exponent);
Tensor clamp(const Tensor& x, double lo, double hi);
Tensor clamp_min(const Tensor& x, double lo);
Tensor equal(const Tensor& a, const Tensor& b);                             // element by element, bool
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
Tensor equal(const Tensor& x, double v);
Tensor less(const Tensor& x, double v);
Tensor greater(const Tensor& x, double v);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor sign(const Tensor& x);
Tensor square(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor reciprocal(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor log2(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor floor(const Tensor& x);
Tensor ceil(const Tensor& x);
Tensor round(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor relu(const Tensor& x);
Tensor softplus(const Tensor& x);
Tensor log_sigmoid(const Tensor& x);
Tensor prelu(const Tensor& x, const Tensor& slope);                         // slope [1] or [C] along dimension 1

// ---- reductions -------------------------------------------------------------------------------------------------
// `dims` empty: over everything. Negative axes count from the end.
enum KeepDims : bool { drop_dims = false, keep_dims = true };
Tensor reduce(const Tensor& x, Reduce fn, const Dims& dims = {}, KeepDims keep = drop_dims);
Tensor sum(const Tensor& x, const Dims& dims = {}, KeepDims keep = drop_dims);
Tensor mean(const Tensor& x, const Dims& dims = {}, KeepDims keep = drop_dims);
Tensor amax(const Tensor& x, const Dims& dims = {}, KeepDims keep = drop_dims);
Tensor amin(const Tensor& x, const Dims& dims = {}, KeepDims keep = drop_dims);
Tensor prod(const Tensor& x, const Dims& dims = {}, KeepDims keep = drop_dims);
Tensor any(const Tensor& x, const Dims& dims = {}, KeepDims keep = drop_dims);
Tensor all(const Tensor& x, const Dims& dims = {}, KeepDims keep = drop_dims);
std::pair<Tensor, Tensor> var_mean(const Tensor& x, const Dims& dims, KeepDims keep = drop_dims, bool unbiased = false);
Tensor var(const Tensor& x, const Dims& dims, KeepDims keep = drop_dims, bool unbiased = false);
Tensor norm(const Tensor& x, const Dims& dims, KeepDims keep = drop_dims);                   // Euclidean
Tensor normalize(const Tensor& x, int dim, double eps = 1e-12);                              // x / max(norm, eps)
Tensor logsumexp(const Tensor& x, int dim, KeepDims keep = drop_dims);
Tensor argmax(const Tensor& x, int dim, KeepDims keep = drop_dims);                          // i64
Tensor argmin(const Tensor& x, int dim, KeepDims keep = drop_dims);
Tensor cumsum(const Tensor& x, int dim);
/// Values and indices (i64), sorted.
std::pair<Tensor, Tensor> topk(const Tensor& x, int64_t k, int dim = -1, bool largest = true);
Tensor argsort(const Tensor& x, int dim = -1, bool descending = false);                      // stable
Tensor softmax(const Tensor& x, int dim);
Tensor log_softmax(const Tensor& x, int dim);
Tensor sum_to(const Tensor& x, const Shape& s);    // undoes a broadcast from s: the adjoint of expand

// ---- views and copies -------------------------------------------------------------------------------------------
Tensor reshape(const Tensor& x, const Shape& s);   // one -1 is inferred; copies only when strides force it
Tensor permute(const Tensor& x, const Dims& order);
Tensor transpose(const Tensor& x, int a, int b);
Tensor slice(const Tensor& x, int dim, int64_t start, int64_t stop, int64_t step = 1);       // Python's rules, step > 0
Tensor narrow(const Tensor& x, int dim, int64_t start, int64_t length);
Tensor select(const Tensor& x, int dim, int64_t index);                                      // drops dim
Tensor expand(const Tensor& x, const Shape& s);    // -1 keeps a size
Tensor expand_as(const Tensor& x, const Tensor& like);
Tensor squeeze(const Tensor& x, int dim);
Tensor unsqueeze(const Tensor& x, int dim);
Tensor flatten(const Tensor& x, int first = 0, int last = -1);
Tensor unflatten(const Tensor& x, int dim, const Shape& sizes);
Tensor contiguous(const Tensor& x, Memory m = Memory::contiguous);        // x itself when it lies so already
std::vector<Tensor> split(const Tensor& x, int64_t size, int dim);             // the last piece may be smaller
std::vector<Tensor> split(const Tensor& x, const std::vector<int64_t>& sizes, int dim);
std::vector<Tensor> chunk(const Tensor& x, int64_t pieces, int dim);
std::vector<Tensor> unbind(const Tensor& x, int dim);
Tensor cat(std::span<const Tensor> xs, int dim);
inline Tensor cat(const Tensors& xs, int dim) { return cat(std::span<const Tensor>(xs), dim); }
inline Tensor cat(std::initializer_list<Tensor> xs, int dim) { return cat(std::span(xs.begin(), xs.size()), dim); }
Tensor stack(std::span<const Tensor> xs, int dim);
inline Tensor stack(const Tensors& xs, int dim) { return stack(std::span<const Tensor>(xs), dim); }
inline Tensor stack(std::initializer_list<Tensor> xs, int dim) { return stack(std::span(xs.begin(), xs.size()), dim); }
Tensor repeat(const Tensor& x, const Dims& times);                                           // tile
Tensor repeat_interleave(const Tensor& x, int64_t times, int dim);
/// Amounts per dimension, negative ones crop. reflect needs amounts below the size, circular at most the size.
Tensor pad(const Tensor& x, const Dims& lo, const Dims& hi, PadMode mode = PadMode::constant, float value = 0);
/// PyTorch's order: last dimension first, {left, right, top, bottom, ...}.
Tensor pad_last(const Tensor& x, const std::vector<int64_t>& amounts, PadMode mode = PadMode::constant,
                float value = 0);
Tensor flip(const Tensor& x, const Dims& dims);
Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims);
Tensor gather(const Tensor& x, int dim, const Tensor& index);           // index i64, shape of the result
Tensor scatter_add(const Tensor& x, int dim, const Tensor& index, const Tensor& src);
// index i64: its shape, of any rank, replaces dim
Tensor index_select(const Tensor& x, int dim, const Tensor& index);
Tensor index_add(const Tensor& x, int dim, const Tensor& index, int64_t size);     // adjoint of index_select
Tensor one_hot(const Tensor& index, int64_t classes, DType t = DType::f32);
Tensor pixel_shuffle(const Tensor& x, int64_t factor);
Tensor pixel_unshuffle(const Tensor& x, int64_t factor);
Tensor zeros_like(const Tensor& x);
Tensor ones_like(const Tensor& x);

// ---- matrices ---------------------------------------------------------------------------------------------------
// rank >= 2, leading sizes broadcast
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulAttrs& attrs = {});
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b = {});              // x [..., K], w [N, K], b [N]
/// One or two operands, explicit result ("bhwc,hkc->bhwk"); no repeated letter within an operand.
Tensor einsum(std::string_view equation, const Tensor& a, const Tensor& b);

// ---- convolution ------------------------------------------------------------------------------------------------
struct ConvOptions {
  Dims stride{1}, dilation{1};                     // one entry stands for all spatial dimensions
  Dims pad{0};                                     // both sides ...
  Dims pad_hi{};                                   // ... unless this gives the other side
  bool same = false;                               // TensorFlow's SAME: ceil(size / stride), the odd pixel at the end
  int64_t groups = 1;
};
/// x [N, C, spatial...], w [O, C / groups, kernel...], b [O]; 1 to 3 spatial dimensions by the rank of x.
Tensor conv(const Tensor& x, const Tensor& w, const Tensor& b = {}, const ConvOptions& o = {});
struct ConvTransposeOptions {
  Dims stride{1}, dilation{1}, pad{0}, output_pad{0};
  int64_t groups = 1;
};
/// w [C, O / groups, kernel...]: the adjoint of conv.
Tensor conv_transpose(const Tensor& x, const Tensor& w, const Tensor& b = {}, const ConvTransposeOptions& o = {});
Tensor unfold(const Tensor& x, const UnfoldAttrs& a);                                        // im2col
Tensor fold(const Tensor& x, const UnfoldAttrs& a);                                          // col2im into a.size
/// lo and hi of TensorFlow's SAME padding for one dimension.
std::pair<int64_t, int64_t> same_padding(int64_t size, int64_t kernel, int64_t stride, int64_t dilation);

// ---- normalisation ----------------------------------------------------------------------------------------------
struct BatchNormResult {
  Tensor y, mean, var;                             // var: biased
};
BatchNormResult batch_norm_train(const Tensor& x, const Tensor& w, const Tensor& b, double eps);   // over all but dim 1
Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& mean, const Tensor& var, double eps);
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps, int dims = 1);   // the last `dims`
Tensor rms_norm(const Tensor& x, const Tensor& w, double eps, int dims = 1);
Tensor group_norm(const Tensor& x, const Tensor& w, const Tensor& b, int groups, double eps);             // w, b [C]
Tensor instance_norm(const Tensor& x, const Tensor& w, const Tensor& b, double eps);

// ---- attention --------------------------------------------------------------------------------------------------
struct AttentionOptions {
  std::optional<double> scale{};                   // of q k^T; default 1 / sqrt(D)
  bool causal = false;
  double dropout = 0;                              // of the attention weights, drawn with `key`
  int64_t key = 0;
};
/// q [..., L, D], k [..., S, D], v [..., S, E] -> [..., L, E]; mask broadcasts to [..., L, S]: bool (true = attend) or
/// added to the scores. Rows that may attend to nothing give zeros.
Tensor sdpa(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask = {}, const AttentionOptions& o = {});

// ---- pooling ----------------------------------------------------------------------------------------------------
struct PoolOptions {
  Dims kernel{2}, stride{};                        // stride empty: the kernel
  Dims pad{0}, pad_hi{}, dilation{1};
  bool same = false;                               // TensorFlow's SAME
  bool ceil_mode = false, count_include_pad = true;
  int divisor = 0;
};
Tensor max_pool(const Tensor& x, const PoolOptions& o);
/// Indices are i64 into the flattened spatial dimensions.
std::pair<Tensor, Tensor> max_pool_indices(const Tensor& x, const PoolOptions& o);
Tensor avg_pool(const Tensor& x, const PoolOptions& o);
Tensor adaptive_avg_pool(const Tensor& x, const Dims& size);
Tensor adaptive_max_pool(const Tensor& x, const Dims& size);

// ---- resizing ---------------------------------------------------------------------------------------------------
struct InterpolateOptions {
  Interpolation mode = Interpolation::nearest;
  bool align_corners = false, antialias = false;   // antialias: linear and cubic of images
  std::vector<double> scale{};                     // given instead of size; used in the coordinates as PyTorch does
};
/// size empty: floor(scale * size of x).
Tensor interpolate(const Tensor& x, const Dims& size, const InterpolateOptions& o = {});

// ---- random -----------------------------------------------------------------------------------------------------
Tensor rand(const Shape& s, int64_t key, DType t = DType::f32, Device d = {});
Tensor randn(const Shape& s, int64_t key, DType t = DType::f32, Device d = {});
Tensor bernoulli(const Shape& s, double p, int64_t key, DType t = DType::f32, Device d = {});
Tensor dropout(const Tensor& x, double p, int64_t key);                                      // scaled by 1 / (1 - p)
Tensor drop_path(const Tensor& x, double p, int64_t key, bool scale_by_keep = true);         // whole samples

// ---- losses -----------------------------------------------------------------------------------------------------
enum class Reduction : uint8_t { none, mean, sum };
struct CrossEntropyOptions {
  double smoothing = 0;
  Reduction reduction = Reduction::mean;
  int64_t ignore_index = -100;                     // samples of this class count for nothing, in the mean neither
};
/// logits [N, C]; target i64 [N], or probabilities [N, C].
Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& o = {});
Tensor nll_loss(const Tensor& log_probabilities, const Tensor& target, Reduction r = Reduction::mean,
                int64_t ignore_index = -100);
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& target, Reduction r = Reduction::mean);
Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction r = Reduction::mean);
Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction r = Reduction::mean);
Tensor kl_div(const Tensor& log_probabilities, const Tensor& target, Reduction r = Reduction::mean);

}  // namespace fovea
