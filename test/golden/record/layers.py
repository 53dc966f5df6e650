#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/layers.py — writes test/golden/layers.tsv: what timm's layers answer when filled by the formula of test/support/fill.h.
#
# usage: layers.py > test/golden/layers.tsv      (timm 1.0.31, torch 2.15)
# A row: case, shape with commas, then eight values at (i * (n - 1)) / 7. The input is golden_input of the shape at the case.
import timm.layers as L
import torch
from timm.layers.grn import GlobalResponseNorm
from torch import nn

from formula import fill, image


def figure(case, t):
    v = t.detach().flatten()
    at = [i * (v.numel() - 1) // 7 for i in range(8)]
    print(case, ",".join(map(str, t.shape)), *[f"{v[i].item():.8g}" for i in at], sep="\t")


def show(case, module, shape=(2, 24, 7, 9), train=False):
    with torch.no_grad():
        fill(module)
        module.train(train)
        figure(case, module(image(*shape)))


def acts():
    names = ("silu mish relu relu6 leaky_relu elu prelu celu selu gelu gelu_tanh quick_gelu sigmoid tanh hard_sigmoid hard_swish "
             "hard_mish identity")
    for name in names.split():
        show(f"act {name}", L.create_act_layer(name))


def pools():
    for name in ["", "avg", "max", "avgmax", "catavgmax", "fast", "fastmax", "fastavgmax", "fastcatavgmax"]:
        show(f"pool {name}", L.SelectAdaptivePool2d(pool_type=name, flatten=bool(name)))
    show("pool nhwc", L.SelectAdaptivePool2d(pool_type="fastcatavgmax", flatten=True, input_fmt="NHWC"))
    show("avg same", L.create_pool2d("avg", 3, 2, padding="same"))
    show("max same", L.create_pool2d("max", 3, 2, padding="same"))
    show("max symmetric", L.create_pool2d("max", 3, 2))
    show("blur", L.BlurPool2d(24))
    show("blurpc", L.create_aa("blurpc", 24, 2))


def attentions():
    for name in ["se", "ese", "eca", "ceca", "gc", "gca", "cbam"]:
        show(f"attention {name}", L.create_attn(name, 24))
    show("attention 2d", L.Attention2d(24, 20, num_heads=3))
    show("multi query 2d", L.MultiQueryAttention2d(24, 20, num_heads=3))
    show("multi query 2d fewer keys", L.MultiQueryAttention2d(24, num_heads=4, key_dim=5, value_dim=7, kv_stride=2, padding="same"))
    show("multi query 2d dilated", L.MultiQueryAttention2d(24, num_heads=2, kv_stride=2, dw_kernel_size=5, dilation=2))


def convs():
    show("conv same", L.create_conv2d(24, 16, 3, stride=2, padding="same"))
    show("conv symmetric", L.create_conv2d(24, 16, 3, stride=2, groups=8, bias=True))
    show("conv dilated same", L.create_conv2d(24, 24, 5, dilation=2, padding="same", depthwise=True))
    show("mixed", L.create_conv2d(25, 30, [3, 5, 7], padding="same"), (2, 25, 7, 9))
    show("mixed depthwise", L.create_conv2d(26, 26, [3, 5, 7, 9], stride=2, depthwise=True), (2, 26, 9, 8))


def norms():
    show("batch norm", nn.BatchNorm2d(24, eps=1e-3))
    show("group norm", L.GroupNormAct(24, group_size=8, act_layer=nn.SiLU))
    show("layer norm 2d", L.LayerNorm2d(24))
    show("layer norm act", L.LayerNormAct2d(24, act_layer=nn.ReLU))
    show("rms norm 2d", L.RmsNorm2d(24))
    show("simple norm", L.SimpleNorm(9))
    show("simple norm 2d", L.SimpleNorm2d(24))
    show("global response norm", GlobalResponseNorm(24, channels_last=False))
    show("global response norm nhwc", GlobalResponseNorm(9))
    show("evo s0", L.EvoNorm2dS0(24, group_size=8))
    show("evo s0 bare", L.EvoNorm2dS0(24, group_size=8, apply_act=False))
    norm = L.BatchNormAct2d(24, act_layer=nn.SiLU)
    show("batch norm train", norm, train=True)
    figure("batch norm train running_mean", norm.running_mean)
    figure("batch norm train running_var", norm.running_var)


def mlps():
    show("mlp", L.Mlp(9, 20, 12))
    show("conv mlp", L.ConvMlp(24, 20, 12, norm_layer=L.LayerNorm2d))
    show("global response norm mlp", L.GlobalResponseNormMlp(24, 20, 12, use_conv=True))
    show("global response norm mlp nhwc", L.GlobalResponseNormMlp(9, 20, 12))
    show("classifier head", L.ClassifierHead(24, 10, "catavgmax"))
    show("norm mlp head", L.NormMlpClassifierHead(24, 10, hidden_size=16))
    show("norm mlp head map", L.NormMlpClassifierHead(24, 10, hidden_size=16, pool_type="", norm_layer="rmsnorm2d"))


convs()
norms()
pools()
attentions()
mlps()
acts()
