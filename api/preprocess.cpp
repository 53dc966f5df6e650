// SPDX-License-Identifier: Apache-2.0
#include "api/preprocess.h"

namespace fovea {

data::EvalConfig eval_config(const zoo::ImageModel& model) {
  const zoo::PretrainedCfg& row = model.pretrained_cfg();
  data::EvalConfig out;
  out.input_size = model.input_size();
  out.interpolation = data::parse_filter(row.interpolation);
  out.crop_pct = row.crop_pct;
  out.crop_mode = data::parse_crop_mode(row.crop_mode);
  out.mean.assign(row.mean.begin(), row.mean.end());
  out.std.assign(row.std.begin(), row.std.end());
  return out;
}

Tensor preprocess(const zoo::ImageModel& model, const data::Image& image) {
  return data::eval_transform(image, eval_config(model));
}

}  // namespace fovea
