// SPDX-License-Identifier: Apache-2.0
#include "zoo/attention_maps.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/core/eager.h"
#include "engine/core/error.h"
#include "engine/core/scope.h"
#include "engine/ops/ops.h"

namespace fovea::zoo {
namespace {

struct Attention {
  std::string scope;
  Tensor weights;                                  // f32[..., rows, columns]
};

// Runs op by op and asks each attention for its weights: that is what it gives where the values are the unit matrix.
class Watch final : public Executor {
 public:
  Tensors emit(const Site& site, std::span<const Tensor> in, Metas out) override {
    if (&site.op == &ops::sdpa) {
      const UseExecutor plain(eager_);
      const int64_t columns = in[1].dim(-2);
      Shape s = in[1].shape();
      s[s.size() - 1] = columns;
      const Tensor unit = contiguous(expand(eye(columns, in[2].dtype()), s));
      const Tensor mask = in.size() > 3 ? in[3] : Tensor();
      const Tensor weights = call(ops::sdpa, {in[0], in[1], unit, mask}, site.attrs_ref)[0];
      seen_.push_back({current_scope(), cast(weights, DType::f32)});
    }
    return eager_.emit(site, in, std::move(out));
  }
  const std::vector<Attention>& seen() const { return seen_; }

 private:
  Eager eager_;
  std::vector<Attention> seen_;
};

[[noreturn]] void refuse(const ImageModel& model, const std::string& why) {
  throw Error(Error::Kind::unsupported, str_cat(model.full_name(), " has no attention maps: ", why),
              "a class-activation map may show what it looks at");
}

// All attention of the image's tokens to each other, f32[heads, T, T] each; a head that attends comes last.
struct Blocks {
  std::vector<Tensor> maps;
  Tensor pooling;                                  // f32[1, T], where the head attends
};

Blocks blocks_of(const ImageModel& model, const std::vector<Attention>& seen, int64_t tokens) {
  Blocks out;
  for (size_t i = 0; i < seen.size(); ++i) {
    const Tensor& w = seen[i].weights;
    const auto same = [&](const Attention& other) { return other.scope == seen[i].scope; };
    if (std::count_if(seen.begin(), seen.end(), same) > 1)
      refuse(model, str_cat(seen[i].scope, " attends more than once"));
    const bool one_image = w.rank() == 4 && w.dim(0) == 1;
    if (one_image && w.dim(2) == tokens && w.dim(3) == tokens && !out.pooling) {
      out.maps.push_back(squeeze(w, 0));
    } else if (one_image && i + 1 == seen.size() && w.dim(2) == 1 && w.dim(3) == tokens) {
      out.pooling = mean(squeeze(w, 0), {0});
    } else {
      refuse(model, str_cat(seen[i].scope, " attends by weights ", to_string(w.shape()), ", not each of ", tokens,
                            " tokens to all"));
    }
  }
  if (out.maps.empty()) refuse(model, "none of its layers is a softmax of products of tokens");
  return out;
}

// Which tokens the head takes, and how much of each: f32[1, T].
Tensor taken(const ImageModel& model, const Blocks& b, int64_t tokens, int64_t patches) {
  if (b.pooling) return b.pooling;
  const int64_t prefix = tokens - patches;
  Tensor row = zeros({1, tokens});
  const std::span<float> to = row.mutable_data<float>();
  if (model.global_pool() == "token" && prefix > 0) to[0] = 1;
  else std::fill(to.begin() + prefix, to.end(), 1 / static_cast<float>(patches));
  return row;
}

}  // namespace

AttentionMaps attention_maps(ImageModel& model, const Tensor& image) {
  const auto* token_model = dynamic_cast<const TokenModel*>(&model);
  if (!token_model) refuse(model, "it does not attend over tokens");
  Watch watch;
  const NoGrad no_grad;
  {
    const EvalMode eval(model);
    const UseExecutor use(watch);
    model(image);
  }
  const Size2 grid = token_model->token_grid(image.dim(2), image.dim(3));
  const int64_t patches = static_cast<int64_t>(grid.h) * grid.w, tokens = patches + token_model->prefix_tokens();
  const Blocks b = blocks_of(model, watch.seen(), tokens);
  const Tensor row = taken(model, b, tokens, patches);
  Tensor rollout = row;
  for (size_t i = b.maps.size(); i-- > 0;)
    rollout = (matmul(rollout, mean(b.maps[i], {0})) + rollout) * 0.5;
  const auto on_grid = [&](const Tensor& x, const Shape& s) {
    return contiguous(reshape(slice(x, -1, tokens - patches, tokens), s));
  };
  const Tensor heads = matmul(expand(unsqueeze(row, 0), {b.maps.back().dim(0), 1, tokens}), b.maps.back());
  return {.rollout = on_grid(rollout, {grid.h, grid.w}),
          .heads = on_grid(heads, {heads.dim(0), grid.h, grid.w}),
          .blocks = static_cast<int>(b.maps.size())};
}

}  // namespace fovea::zoo
