#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/schedules.py — records the learning rates of timm's schedules, the losses of its classifiers with their
# gradients, adaptive clipping, the decay of averages, and the parameter groups of a few models.
#
# usage: schedules.py --out DIR
# Schedules: the rate before the first epoch and after each of 100 (of 10 with 10 updates where it goes by updates). Losses: logits
# 3 u(x) and targets by the formula of test/support/fill.h, in f64 where timm does not cast to f32 itself; what is compared is in "f32".
import argparse
import json
import pathlib
import warnings

import timm
import torch
from timm.loss._loss_factory import create_classification_loss
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3, adaptive_clip_grad

from formula import uniform

SCHEDULES = {
    "cosine": dict(sched="cosine", num_epochs=90, warmup_epochs=5, warmup_lr=1e-4, min_lr=1e-3),
    "cosine_prefix": dict(sched="cosine", num_epochs=90, warmup_epochs=7, warmup_prefix=True, k_decay=1.5),
    "cosine_cycles": dict(sched="cosine", num_epochs=20, cycle_mul=1.5, cycle_decay=0.5, cycle_limit=3, cooldown_epochs=4),
    "cosine_same_cycles": dict(sched="cosine", num_epochs=20, cycle_decay=0.5, cycle_limit=4, min_lr=1e-4),
    "cosine_noise": dict(sched="cosine", num_epochs=100, noise=[0.2, 0.7], noise_seed=3, noise_std=0.8),
    "cosine_noise_to_the_end": dict(sched="cosine", num_epochs=100, noise=0.4, noise_pct=0.3),
    "tanh": dict(sched="tanh", num_epochs=100, warmup_epochs=4, min_lr=1e-5),
    "tanh_prefix": dict(sched="tanh", num_epochs=50, warmup_epochs=4, warmup_prefix=True, cycle_limit=2),
    "step": dict(sched="step", num_epochs=100, decay_epochs=2.4, decay_rate=0.97, warmup_epochs=3, warmup_lr=1e-6),
    "step_default": dict(sched="step", num_epochs=100, warmup_prefix=True, warmup_epochs=3),
    "multistep": dict(sched="multistep", num_epochs=100, decay_milestones=[20, 50, 77], decay_rate=0.3, warmup_epochs=2),
    "poly": dict(sched="poly", num_epochs=100, decay_rate=0.9, min_lr=1e-3, k_decay=0.5),
    "wsd": dict(sched="wsd", num_epochs=100, warmup_epochs=5),
    "wsd_linear": dict(sched="wsd", num_epochs=60, warmup_epochs=5, warmup_prefix=True, decay_epochs=10, decay_fn="linear", min_lr=1e-3),
    "wsd_exp": dict(sched="wsd", num_epochs=100, decay_fn="exp", decay_epochs=0.5),
    "wsd_cosine": dict(sched="wsd", num_epochs=100, decay_fn="cosine"),
    "rsqrt": dict(sched="rsqrt", num_epochs=100, warmup_epochs=10),
    "rsqrt_timescale": dict(sched="rsqrt", num_epochs=100, stable_timescale=20, decay_epochs=30),
    "constant": dict(sched="constant", num_epochs=100, warmup_epochs=6),
    "none": dict(sched="none", num_epochs=100),
    "plateau": dict(sched="plateau", num_epochs=100, warmup_epochs=3, patience_epochs=4, decay_rate=0.5, min_lr=1e-3),
    "plateau_min": dict(sched="plateau", num_epochs=100, patience_epochs=2, plateau_mode="min", noise=0.3),
    "updates": dict(sched="cosine", num_epochs=10, warmup_epochs=2, step_on_epochs=False, updates_per_epoch=10),
    "wsd_updates": dict(sched="wsd", num_epochs=10, warmup_epochs=1, step_on_epochs=False, updates_per_epoch=10),
}


def schedule(name, settings):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    scheduler, epochs = create_scheduler_v2(optimizer, **settings)
    rates = [optimizer.param_groups[0]["lr"]]
    for t in range(1, 101):
        metric = float(uniform("metric", 101)[t]) + min(t, 40) / 20
        if scheduler is not None:
            if settings.get("step_on_epochs", True):
                scheduler.step(t, metric)
            else:
                scheduler.step_update(t)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"settings": settings, "epochs": epochs, "rates": rates}


COUNTS = [40.0, 3.0, 100.0, 0.0, 17.0]
WEIGHTS = [0.5, 2.0, 1.0, 0.25, 3.0]
LOSSES = {
    "ce": dict(),
    "ce_smooth": dict(smoothing=0.1),
    "ce_soft": dict(soft_targets=True, smoothing=0.1),
    "bce": dict(loss_type="bce", smoothing=0.1),
    "bce_sum": dict(loss_type="bce", bce_sum=True, bce_target_thresh=0.2, soft_targets=True),
    "bce_weights": dict(loss_type="bce", class_weight=WEIGHTS, pos_weight=WEIGHTS),
    "bce_multi": dict(multi_label=True, smoothing=0.2, pos_weight=2.0),
    "asl": dict(loss_type="asl", smoothing=0.1),
    "asl_multi": dict(loss_type="asl", multi_label=True, smoothing=0.05, class_weight=WEIGHTS, pos_weight=1.5),
    "poly": dict(loss_type="poly", smoothing=0.1),
    "poly_soft": dict(loss_type="poly", soft_targets=True),
    "poly_multi": dict(loss_type="poly", multi_label=True, poly_gamma=2.0, poly_alpha=0.25, poly_epsilon=-1.0),
    "jsd": dict(loss_type="jsd", jsd_splits=3, smoothing=0.1),
    "twoway": dict(loss_type="twoway", multi_label=True),
    "zlpr": dict(loss_type="zlpr", multi_label=True),
    "db": dict(loss_type="db", multi_label=True, class_counts=COUNTS, num_samples=100, smoothing=0.1),
}


def loss(settings):
    n, classes = 6, 5
    logits = (3 * torch.from_numpy(uniform("logits", n * classes)).reshape(n, classes)).requires_grad_()
    if settings.get("multi_label"):
        target = (torch.from_numpy(uniform("several", n * classes)).reshape(n, classes) > 0.3).float()
    elif settings.get("soft_targets"):
        target = torch.softmax(2 * torch.from_numpy(uniform("soft", n * classes)).reshape(n, classes), 1)
    else:
        target = torch.arange(n) * 2 % classes
    value = create_classification_loss(**settings)(logits, target)
    value.backward()
    return {"settings": settings, "loss": value.item(), "gradient": logits.grad.flatten().tolist()}


def agc():
    p = torch.nn.Parameter(torch.from_numpy(uniform("agc.p", 24)).reshape(4, 3, 2).double())
    b = torch.nn.Parameter(torch.from_numpy(uniform("agc.b", 5)).double())
    p.grad = torch.from_numpy(uniform("agc.p.g", 24)).reshape(4, 3, 2).double() * torch.tensor([1e-3, 0.02, 1, 30]).view(4, 1, 1)
    b.grad = torch.from_numpy(uniform("agc.b.g", 5)).double()
    adaptive_clip_grad([p, b], 0.02)
    return {"p": p.grad.flatten().tolist(), "b": b.grad.flatten().tolist()}


def ema():
    model = torch.nn.Linear(1, 1)
    warm = ModelEmaV3(model, decay=0.99, use_warmup=True)
    late = ModelEmaV3(model, decay=0.9, update_after_step=3, min_decay=0.2)
    other = ModelEmaV3(model, decay=0.9999, use_warmup=True, warmup_gamma=2.0, warmup_power=0.75, min_decay=0.5)
    return {n: [e.get_decay(s) for s in (1, 2, 3, 4, 5, 10, 100, 10000)] for n, e in (("warm", warm), ("late", late), ("other", other))}


def groups():
    out = {}
    for name in ("test_vit", "test_efficientnet", "test_resnet", "test_convnext"):
        model = timm.create_model(name)
        names = {p: n for n, p in model.named_parameters()}
        listed = lambda gs: [{"lr_scale": g.get("lr_scale", 1.0), "weight_decay": g["weight_decay"], "fallback": g.get("use_fallback", False),
                              "names": [names[p] for p in g["params"]]} for g in gs]
        skip = list(model.no_weight_decay()) if hasattr(model, "no_weight_decay") else []
        out[name] = {
            "no_weight_decay": skip,
            "decay": listed(param_groups_weight_decay(model, 0.05, no_weight_decay_list=skip, fallback_list=["*head*", "*fc*"])),
            "layers": listed(param_groups_layer_decay(model, 0.05, no_weight_decay_list=skip, layer_decay=0.7, min_scale=0.1)),
        }
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, required=True)
    a = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    parts = {
        "schedules": {n: schedule(n, s) for n, s in SCHEDULES.items()},
        "losses": {n: loss(s) for n, s in LOSSES.items()},
        "agc": agc(),
        "ema": ema(),
        "groups": groups(),
    }
    folder = a.out / "train"
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(part).replace('}, "', '},\n"') + "\n")


main()
