// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/local_convs.h — what EfficientViT of MIT, LowFormer and CPUBone mix pixels with: convolutions called
// "conv", "norm", inverted bottlenecks of them, and residual paths.
#pragma once
#include <array>
#include <utility>

#include "nn/layers.h"
#include "zoo/blocks/stages.h"

namespace fovea::zoo {

struct NamedConvOptions {
  int kernel = 3, stride = 1, groups = 1;
  bool bias = false, norm = true;
  Act act{};
  double eps = 1e-5;
};
/// "conv", "norm" and an activation. Around maps that keep their size a kernel of 2 lacks pixels at the left and at the
/// top, where zeros are; what has the weights then is "conv.1".
class NamedConv final : public Module {
 public:
  NamedConv(int in, int out, const NamedConvOptions& o);
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Conv2d> conv_;
  bool fills_;
  Maybe<Module> norm_;
  Act act_;
};

struct LocalConvs {
  double ratio = 4;  // of what is hidden to what comes in
  int kernel = 3, stride = 1;
  int groups = 1, last_groups = 1;  // of the first convolution and of the last
  bool bias = false;                // of those before the last; of inverted bottlenecks where no norm follows
  bool first_norm = true, depth_norm = true;
  Act act = act::hard_swish;
  double eps = 1e-5;
};
/// "inverted_conv" of single pixels, "depth_conv" and "point_conv".
Sequential inverted_convs(int in, int out, const LocalConvs& o);
/// The first two are one, "spatial_conv".
Sequential fused_convs(int in, int out, const LocalConvs& o);

/// "main", with a shortcut or without one.
class MainPath final : public Module {
 public:
  template <class M>
  MainPath(M main, bool adds, double drop_rate = 0) : adds_(adds) {
    main_ = add("main", std::move(main));
    drop_path_ = add("drop_path", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override;

 private:
  bool adds_;
  Ref<Module> main_, drop_path_;
};

struct ShrunkAttentionOptions {
  int stride = 1, kernel = 3;  // of the convolution that makes the map smaller
  bool fused = false;          // what makes it larger projects as well
  bool nearest = false;        // pixels are repeated; else learned
};
/// Attention between the pixels of a map that a convolution made smaller and another makes as large as it was.
class ShrunkAttention final : public Module {
 public:
  ShrunkAttention(int dim, const ShrunkAttentionOptions& o);
  Tensor forward(const Tensor& x) override;

 private:
  int heads_, stride_;
  bool fills_;
  Ref<Module> conv_proj_, pwise_, upsampling_;
  Maybe<Module> o_proj_;
};

struct StagedConvsOptions {
  int in_chans = 3;
  Act act = act::hard_swish;
  double drop_path_rate = 0;
};
/// A stem and four stages: two of convolutions, of which the first halves the map; two whose blocks come behind such.
/// `widths` and `depths` are of the stem and of each stage. Parts::convs(stage, in, out, halves), where the stem is
/// stage 0, and Parts::block(stage, channels, drop_rate) make what they consist of.
struct StagedConvs {
  Sequential stem, stages;
  int channels;  // at the end
  template <class Parts>
  StagedConvs(const Parts& p, const std::array<int, 5>& widths, const std::array<int, 5>& depths,
              const StagedConvsOptions& o)
      : channels(widths[0]) {
    DropPathRamp drop_path(o.drop_path_rate, depths[0] + depths[1] + depths[2] + depths[3] + depths[4]);
    stem.add(NamedConv(o.in_chans, channels, {.stride = 2, .act = o.act}));
    for (int i = 0; i < depths[0]; ++i)
      stem.add(MainPath(p.convs(0, channels, channels, false), true, drop_path.next()));
    for (size_t s = 1; s < widths.size(); ++s) {
      const bool convolves = s < 3;
      Sequential all;
      if (!convolves || depths[s] > 0) {
        all.add(MainPath(p.convs(s, channels, widths[s], true), false));
        channels = widths[s];
        if (convolves) drop_path.next();
      }
      for (int i = convolves ? 1 : 0; i < depths[s]; ++i) {
        const double drop_rate = drop_path.next();
        if (convolves) all.add(MainPath(p.convs(s, channels, channels, false), true, drop_rate));
        else all.add(p.block(s, channels, drop_rate));
      }
      stages.add(std::move(all));
    }
  }
};

/// A norm of all channels together, and two 1x1 convolutions.
Sequential normed_conv_mlp(int dim, int ratio, double drop_rate);

}  // namespace fovea::zoo
