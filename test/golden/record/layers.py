#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/layers.py — writes test/golden/layers.tsv: what timm's layers answer when filled by the formula of test/support/fill.h.
#
# usage: layers.py > test/golden/layers.tsv      (timm 1.0.31, torch 2.15)
# A row: case, shape with commas, then eight values at (i * (n - 1)) / 7. The input is golden_input of the shape at the case.
import types

import timm.layers as L
import torch
from timm.layers import coord_attn, gather_excite
from timm.layers.grn import GlobalResponseNorm
from timm.layers.median_pool import MedianPool2d
from timm.layers.ml_decoder import MLDecoder
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


def gather():
    """GatherExcite hands keywords on by position (timm 1.0.31), so that it cannot be made with an MLP or with parameters: they are left out."""
    gather_excite.create_conv2d = lambda i, o, *_, **k: L.create_conv2d(i, o, **k)
    gather_excite.ConvMlp = lambda i, h, *_, **k: L.ConvMlp(i, h, **k)
    gather_excite.nn = types.SimpleNamespace(**{**vars(nn), "BatchNorm2d": lambda c, *_: nn.BatchNorm2d(c)})
    show("attention ge", L.create_attn("ge", 24))
    show("gather 2", L.GatherExcite(24, extent=2))
    show("gather 4 max bare", L.GatherExcite(24, extent=4, add_maxpool=True, use_mlp=False))
    show("gather learned", L.GatherExcite(24, extent=4, extra_params=True))
    show("gather learned all", L.GatherExcite(24, (7, 9), extra_params=True))


def more_attentions():
    for name in ["ecam", "lcbam", "coord", "scoord", "ela", "strip", "nl"]:
        show(f"attention {name}", L.create_attn(name, 24))
    show("attention bat", L.create_attn("bat", 24, block_size=3), (2, 24, 6, 9))
    show("coordinate skip", coord_attn.CoordAttn(24, rd_ratio=0.5, act_layer=nn.ReLU, has_skip=True))
    show("local bare", coord_attn.EfficientLocalAttn(24, kernel_size=5, bias=True, norm_layer=None))
    show("strip bare", coord_attn.StripAttn(24, use_conv=False, has_skip=True))


def more_norms():
    for name in ["b0", "b1", "b2"]:
        layer = getattr(L, f"EvoNorm2d{name.upper()}")
        show(f"evo {name}", layer(24))
        show(f"evo {name} bare", layer(24, apply_act=False))
        norm = layer(24)
        show(f"evo {name} train", norm, train=True)
        figure(f"evo {name} train running_var", norm.running_var)
    for name in ["s0a", "s1", "s1a", "s2", "s2a"]:
        layer = getattr(L, f"EvoNorm2d{name[0].upper()}{name[1:]}")
        show(f"evo {name}", layer(24, group_size=8))
        show(f"evo {name} bare", layer(24, group_size=8, apply_act=False))
    show("filter response norm act", L.FilterResponseNormAct2d(24, act_layer=nn.SiLU))
    show("group norm 1", L.GroupNorm1Act(24, act_layer=nn.SiLU))


def more_pools():
    show("log sum exp", L.LsePlus2d())
    show("log sum exp map", L.LsePlus2d(r=2, r_learnable=False, flatten=False))
    show("simple pool", L.SimPool2d(24))
    show("simple pool gamma", L.SimPool2d(24, num_heads=3, qkv_bias=True, qk_norm=True, gamma=1.25))
    show("median", MedianPool2d(3, 1, padding=1))
    show("median even", MedianPool2d(2, 2))
    show("median same", MedianPool2d(3, 2, same=True))
    with torch.no_grad():
        for case, pool in [("log sum exp tokens", L.LsePlus1d()), ("simple pool tokens", L.SimPool1d(24, num_heads=2))]:
            fill(pool)
            figure(case, pool.eval()(image(2, 24, 7, 9).flatten(2).transpose(1, 2)))


def embeds():
    show("fourier", L.FourierEmbed(), (2, 10, 5, 9))
    show("fourier map", L.FourierEmbed(max_res=32, num_bands=5, concat_grid=False, keep_spatial=True), (2, 9, 6, 7))
    figure("mrope", L.create_rope_embed("mrope", dim=128, num_heads=2).get_embed([5, 6]))


def decoder():
    """PyTorch's TransformerDecoder asks its layers for a self-attention, which this one lacks: the layer is called by itself."""
    class Layers(nn.Module):
        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def forward(self, queries, memory):
            return self.layers[0](queries, memory)

    for case, classes, groups in [("label decoder", 10, 4), ("label decoder of few", 3, -1)]:
        head = MLDecoder(classes, groups, 32, 24)
        head.decoder = Layers(head.decoder.layers)
        show(case, head)


convs()
norms()
pools()
attentions()
mlps()
acts()
gather()
more_attentions()
more_norms()
more_pools()
embeds()
decoder()
