// SPDX-License-Identifier: Apache-2.0
#include "api/preprocess.h"

namespace fovea {

// Rows have three values: one for grey images, where they agree.
static std::vector<float> of_channels(const std::array<float, 3>& row, int channels) {
  const bool agree = row[0] == row[1] && row[1] == row[2];
  return {row.begin(), channels == 1 && agree ? row.begin() + 1 : row.end()};
}

data::EvalConfig eval_config(const zoo::ImageModel& model) {
  const zoo::PretrainedCfg& row = model.pretrained_cfg();
  data::EvalConfig out;
  out.input_size = model.input_size();
  out.interpolation = data::parse_filter(row.interpolation);
  out.crop_pct = row.crop_pct;
  out.crop_mode = data::parse_crop_mode(row.crop_mode);
  out.mean = of_channels(row.mean, out.input_size[0]);
  out.std = of_channels(row.std, out.input_size[0]);
  return out;
}

Tensor preprocess(const zoo::ImageModel& model, const data::Image& image) {
  return data::eval_transform(image, eval_config(model));
}

}  // namespace fovea
