// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/bodies.h — all kernel bodies, for those who compile kernels.inc.
#pragma once
#include "kernels/cuda/device/conv.h"
#include "kernels/cuda/device/fetch.h"
#include "kernels/cuda/device/index.h"
#include "kernels/cuda/device/map.h"
#include "kernels/cuda/device/pool.h"
#include "kernels/cuda/device/product.h"
#include "kernels/cuda/device/random.h"
#include "kernels/cuda/device/rows.h"
