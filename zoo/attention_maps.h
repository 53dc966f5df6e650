// SPDX-License-Identifier: Apache-2.0
// zoo/attention_maps.h — where a transformer's tokens look: attention rollout, and the heads of the last block.
#pragma once
#include "zoo/image_model.h"

namespace fovea::zoo {

struct AttentionMaps {
  Tensor rollout;                                  // f32[h, w]: how much each patch has in what is classified
  Tensor heads;                                    // f32[heads, h, w]: the same by the last block's attention alone
  int blocks = 0;
};

/// Rollout is https://arxiv.org/abs/2005.00928: the product over all blocks of (A + 1) / 2, A the mean over heads of
/// the attention's softmax. Of the product that row counts which the head takes: the class token's, the mean of all
/// patches', or what a head that attends takes of them. Image f32[1, C, H, W]; each row of weights sums to 1, less what
/// goes to tokens that are no patches. Throws Error(unsupported) for models whose blocks do not all let every token
/// attend to every other one, such as those of windows, and for attention that is no softmax of products.
AttentionMaps attention_maps(ImageModel& model, const Tensor& image);

}  // namespace fovea::zoo
