// SPDX-License-Identifier: Apache-2.0
// nn/layers/label_decoder.cpp — queries, one layer of cross-attention, and a classifier for each group.
#include "nn/layers/label_decoder.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/drop.h"
#include "nn/layers/norm.h"

namespace fovea {
namespace {

// Of PyTorch's MultiheadAttention: three products in one weight.
struct CrossAttention final : Module {
  Param in_proj_weight, in_proj_bias;
  Ref<Linear> out_proj;
  int heads;
  double drop;
  CrossAttention(int channels, const LabelDecoderOptions& o) : heads(o.heads), drop(o.drop) {
    const Shape shape{3 * channels, channels};
    in_proj_weight = param("in_proj_weight", shape, init::xavier_uniform(shape));
    in_proj_bias = param("in_proj_bias", {3 * channels}, init::zeros());
    out_proj = add("out_proj", Linear(channels, channels));
    out_proj->bias.slot().init = init::zeros();
  }
  Tensor operator()(const Tensor& x, const Tensor& memory) {
    const Scope scope(name());
    const int64_t c = x.dim(2);
    const auto product = [&](const Tensor& t, int64_t i) {
      return split_heads(linear(t, narrow(in_proj_weight, 0, i * c, c), narrow(in_proj_bias, 0, i * c, c)), heads);
    };
    const bool drops = training() && drop > 0;
    return out_proj(merge_heads(sdpa(product(x, 0), product(memory, 1), product(memory, 2), {},
                                     {.dropout = drops ? drop : 0, .key = drops ? next_key() : 0})));
  }
};

struct Queries final : Module {
  Param weight;
  Queries(int number, int channels) { weight = buffer("weight", {number, channels}, init::normal(1)); }
};

}  // namespace

// A decoder's layer without the self-attention of its queries: these do not depend on the image.
struct LabelDecoder::Layer final : Module {
  Ref<Module> norm1, norm2, norm3, linear1, linear2, dropout, dropout1, dropout2, dropout3;
  Ref<CrossAttention> multihead_attn;
  explicit Layer(const LabelDecoderOptions& o) {
    norm1 = add("norm1", LayerNorm(o.embedding, 1e-5));
    dropout = add("dropout", Dropout(o.drop));
    dropout1 = add("dropout1", Dropout(o.drop));
    dropout2 = add("dropout2", Dropout(o.drop));
    dropout3 = add("dropout3", Dropout(o.drop));
    multihead_attn = add("multihead_attn", CrossAttention(o.embedding, o));
    linear1 = add("linear1", Linear(o.embedding, o.hidden));
    linear2 = add("linear2", Linear(o.hidden, o.embedding));
    norm2 = add("norm2", LayerNorm(o.embedding, 1e-5));
    norm3 = add("norm3", LayerNorm(o.embedding, 1e-5));
  }
  Tensor operator()(const Tensor& queries, const Tensor& memory) {
    const Scope scope(name());
    Tensor y = norm1(queries + dropout1(queries));
    y = norm2(y + dropout2(multihead_attn(y, memory)));
    return norm3(y + dropout3(linear2(dropout(relu(linear1(y))))));
  }
};
LabelDecoder::LabelDecoder(int channels, int classes, const LabelDecoderOptions& o) : classes_(classes) {
  if (classes < 1 || o.groups < 1)
    throw Error(Error::Kind::argument, str_cat("a decoder of ", classes, " labels in ", o.groups, " groups"),
                "there is at least one of each");
  head_channels(o.embedding, o.heads);
  const int groups = std::min(o.groups, classes), each = (classes + groups - 1) / groups;
  const double deviation = std::sqrt(2.0 / (static_cast<double>(each) * (groups + o.embedding)));
  pooling_ = param("duplicate_pooling", {groups, o.embedding, each}, init::normal(deviation));
  pooling_bias_ = param("duplicate_pooling_bias", {classes}, init::zeros());
  embed_ = add("embed_standart", Linear(channels, o.embedding));
  Sequential layers;
  layer_ = layers.add(Layer(o));
  struct Decoder final : Module {
    explicit Decoder(Sequential layers) { add("layers", std::move(layers)); }
  };
  add("decoder", Decoder(std::move(layers)));
  queries_ = add("query_embed", Queries(groups, o.embedding))->weight;
}

Tensor LabelDecoder::forward(const Tensor& x) {
  const Tensor tokens = x.rank() == 4 ? transpose(flatten(x, 2), 1, 2) : x;
  const Tensor memory = relu(embed_(tokens)), queries = expand(unsqueeze(queries_, 0), {x.dim(0), -1, -1});
  const Tensor found = layer_(queries, memory);               // [N, groups, embedding]
  const Tensor each = permute(matmul(permute(found, {1, 0, 2}), pooling_), {1, 0, 2});
  return narrow(flatten(each, 1), 1, 0, classes_) + pooling_bias_;
}

}  // namespace fovea
