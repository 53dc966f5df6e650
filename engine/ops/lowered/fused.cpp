// SPDX-License-Identifier: Apache-2.0
#include "engine/ops/lowered/fused.h"

#include "engine/ops/rules.h"

namespace fovea {
namespace {

Metas infer_scale_shift(const Site& s) {
  if (s.in.size() < 3) s.fail("nothing to scale");
  s.want_floating(2);
  if (s.attrs<ScaleShiftAttrs>().epilogue.residual) s.fail("no residual can be added");
  const Meta& x = s.operand(2);
  Shape y = x.shape;
  if (y.size() < 2) s.fail(str_cat("xs0 must have a channel dimension, not shape ", y));
  for (size_t i = 3; i < s.in.size(); ++i) {
    const Meta& m = s.in[i];
    Shape alike = m.shape;
    if (alike.size() >= 2) alike[1] = x.shape[1];
    if (alike != x.shape || m.dtype != x.dtype)
      s.fail(str_cat("xs", i - 2, " is ", m, ", xs0 ", x, "; only the channels may differ"));
    y[1] += m.shape[1];
  }
  const DType exact = x.dtype == DType::f64 ? DType::f64 : DType::f32;
  for (int i = 0; i < 2; ++i)
    if (s.operand(i).shape != Shape{y[1]} || s.operand(i).dtype != exact)
      s.fail(str_cat(i ? "shift" : "gain", " is ", s.operand(i), " for ", y[1], " channels of ", name_of(x.dtype)));
  return {dense_like(x, y)};
}

}  // namespace

namespace ops {
constinit const OpDef scale_shift{.signature = "scale_shift(gain, shift, xs...) -> y",
                                  .infer = infer_scale_shift,
                                  .role = Role::norm,
                                  .epilogue = {offsetof(ScaleShiftAttrs, epilogue)}};
}  // namespace ops

}  // namespace fovea
