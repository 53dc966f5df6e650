// SPDX-License-Identifier: Apache-2.0
// onnx/pointwise.h — functions of one or two operands, element by element.
#pragma once
#include "onnx/translate.h"

namespace fovea::onnx {

void unary(Translator& t);
void binary(Translator& t);

}  // namespace fovea::onnx
