// SPDX-License-Identifier: Apache-2.0
// zoo/features.cpp — feature maps from taps: which levels there are, and taking some of them.
#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "zoo/image_model.h"
#include "zoo/levels.h"
#include "zoo/sequence_model.h"

namespace fovea::zoo {
namespace {

// What a model computes in: the dtype of its parameters.
DType dtype_of(const Module& m) {
  for (const NamedParameter& p : m.named_parameters())
    if (is_floating(p.tensor().dtype())) return p.tensor().dtype();
  return DType::f32;
}

}  // namespace

const std::vector<FeatureInfo>& ImageModel::feature_info(TapKind kind) {
  std::vector<FeatureInfo>& info = feature_info_[static_cast<size_t>(kind)];
  if (!info.empty()) return info;
  const EvalMode eval(*this);
  const NoGrad no_grad;
  // The heights of the maps of an image of that size.
  const auto measure = [&](int64_t h, int64_t w) {
    std::vector<int64_t> heights;
    info.clear();
    trace(
        [&](const Tensor& image) {
          const TapCollector collector(kind);
          const Tensor end = forward_features(image);
          for (const Tap& t : collector.taps()) {
            const Tensor map = as_map(t, h, w);
            info.push_back({static_cast<int>(map.dim(1)), 0, t.module});
            heights.push_back(map.dim(2));
          }
          return end;
        },
        {make_meta(dtype_of(*this), {1, input_size_[0], h, w})});
    return heights;
  };
  const bool fixed = pretrained_.fixed_input_size;
  int64_t h = fixed ? input_size_[1] : 256, w = fixed ? input_size_[2] : 256;  // 256: all usual reductions divide it
  std::vector<int64_t> heights;
  try {
    heights = measure(h, w);
  } catch (const Error&) {  // blocks of another size: the weights were made for images that they divide
    h = input_size_[1], w = input_size_[2];
    heights = measure(h, w);
  }
  if (!fixed && std::ranges::any_of(heights, [h](int64_t map) { return h % map != 0; })) {
    // maps that lose their border: what an image that grows adds to them
    const std::vector<int64_t> small = heights;
    heights = measure(2 * h, 2 * w);
    for (size_t i = 0; i < heights.size(); ++i) heights[i] = std::max<int64_t>(heights[i] - small[i], 1);
  }
  const auto ratio = [](int64_t large, int64_t small) {
    return static_cast<int>(std::lround(static_cast<double>(large) / static_cast<double>(small)));
  };
  // Of an image that is not halved evenly to the end, a level that halves the one before counts from that one. Where
  // a module comes again, a branch beside the first one begins.
  for (size_t i = 0; i < info.size(); ++i) {
    const auto same = [&](const FeatureInfo& other) { return other.module == info[i].module; };
    const auto here = info.begin() + static_cast<std::ptrdiff_t>(i);
    const bool after = i > 0 && std::none_of(info.begin(), here, same);
    const int step = fixed && after ? ratio(heights[i - 1], heights[i]) : 0;
    const bool follows = step > 1 || (step == 1 && heights[i - 1] == heights[i]);
    info[i].reduction = follows ? info[i - 1].reduction * step : ratio(h, heights[i]);
  }
  return info;
}

Tensor ImageModel::as_map(const Tap& t, int64_t height, int64_t width) const {
  const Tensor& x = t.value;
  if (x.rank() == 4) return t.channel_axis == 1 ? x : permute(x, {0, 3, 1, 2});
  const auto* model = dynamic_cast<const TokenModel*>(this);
  if (!model)
    throw Error(Error::Kind::internal,
                str_cat(full_name(), " taps ", to_string(x.meta()), " and does not say where they lie"));
  const Size2 grid = model->token_grid(height, width);
  return permute(unflatten(slice(x, 1, model->prefix_tokens(), x.dim(1)), 1, {grid.h, grid.w}), {0, 3, 1, 2});
}

Tensor ImageModel::features_end(const Tensor& image, const AttentionMask& mask) {
  if (!mask.mask && !mask.causal) return forward_features(image);
  auto* model = dynamic_cast<MaskedModel*>(this);
  if (!model) throw Error(Error::Kind::unsupported, str_cat(full_name(), " takes no attention mask"));
  return model->forward_masked(image, mask);
}

// Which taps a forward pass is for.
struct ImageModel::Wanted {
  std::vector<int> levels;
  bool stops;  // at the last of them
};
ImageModel::Wanted ImageModel::wanted(const FeatureOptions& o) {
  const int count = static_cast<int>(feature_info(o.kind).size());
  const Levels w = wanted_levels(o.indices, o.last, count, full_name());
  const bool whole = std::ranges::binary_search(w.sorted, count - 1);   // the last level's final value is the model's
  return {.levels = w.sorted, .stops = o.stop_early && (o.intermediates_only || !whole)};
}

int ImageModel::tokens_in_front() const {
  const auto* model = dynamic_cast<const TokenModel*>(this);
  return model ? model->prefix_tokens() : 0;
}

Intermediates ImageModel::forward_intermediates(const Tensor& image, const FeatureOptions& o) {
  const Wanted w = wanted(o);
  const int prefix = tokens_in_front();
  Intermediates out;
  const TapCollector collector(o.kind, w.levels, w.stops);
  const Tensor end = features_end(image, o.mask);
  if (!o.intermediates_only) out.final = end;
  for (Tap t : collector.taps()) {
    if (o.norm) t.value = final_norm(t);
    const bool tokens = t.value.rank() == 3;
    if (o.prefix_tokens && tokens && prefix > 0) out.prefix.push_back(slice(t.value, 1, 0, prefix));
    if (o.nchw.value_or(true)) out.features.push_back(as_map(t, image.dim(2), image.dim(3)));
    else out.features.push_back(tokens ? slice(t.value, 1, prefix, t.value.dim(1)) : t.value);
  }
  return out;
}

Intermediates ImageModel::sequence_intermediates(const PatchSequence& s, const FeatureOptions& o) {
  if (o.nchw.value_or(false))
    throw Error(Error::Kind::argument, "patches of a sequence do not lie in one map: grids differ",
                "their tokens come as N,L,C");
  SequenceModel& model = sequences_of(*this);
  const Wanted w = wanted(o);
  const int prefix = tokens_in_front();
  Intermediates out;
  const TapCollector collector(o.kind, w.levels, w.stops);
  const SequenceFeatures end = model.sequence_features(s);
  if (!o.intermediates_only) out.final = end.tokens;
  out.valid = end.valid;
  for (Tap t : collector.taps()) {
    if (o.norm) t.value = final_norm(t);
    if (o.prefix_tokens && prefix > 0) out.prefix.push_back(slice(t.value, 1, 0, prefix));
    out.features.push_back(slice(t.value, 1, prefix, t.value.dim(1)));
  }
  return out;
}

FeatureNet::FeatureNet(std::unique_ptr<ImageModel> model, FeatureOptions o)
    : model_(std::move(model)),
      options_(std::move(o)) {
  options_.stop_early = options_.intermediates_only = true;
  if (!options_.nchw) options_.nchw = model_->features_nchw();
  const std::vector<FeatureInfo>& all = model_->feature_info(options_.kind);
  const int count = static_cast<int>(all.size());
  if (options_.indices.empty() && options_.last == 0) options_.indices = usual_levels(model_->default_levels(), count);
  const Levels w = wanted_levels(options_.indices, options_.last, count, model_->full_name());
  for (const int level : w.sorted) info_.push_back(all[static_cast<size_t>(level)]);
}

Tensors FeatureNet::operator()(const Tensor& image) { return model_->forward_intermediates(image, options_).features; }

FeatureNet features(std::unique_ptr<ImageModel> model, FeatureOptions o) { return {std::move(model), std::move(o)}; }

}  // namespace fovea::zoo
