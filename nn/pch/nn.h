// SPDX-License-Identifier: Apache-2.0
// nn/pch/nn.h — what most layers include, compiled once.
#include "engine/pch/engine.h"
#include "nn/layers/conv.h"
#include "nn/layers/linear.h"
#include "nn/layers/norm.h"
#include "nn/module.h"
