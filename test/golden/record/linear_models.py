#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# test/golden/record/linear_models.py — records what scikit-learn makes of features and answers filled by formula.py.
#
# usage: linear_models.py --out DIR
# "logistic": LogisticRegression of 90 images, 12 features and 4 classes: weights, biases and the value of the objective, the sum of the
# weighted losses and |W|^2 / (2 C). Features are 3 u + 1, of which those of feature f are shifted by 0.8 where f % 4 is the class, and
# the first half of the images is of class 0 and 1, so that weights of classes matter. "neighbours": votes of KNeighborsClassifier by
# cosine, weighted by exp((cosine - 1) / 0.07). "multi_label": average precision and F1 of 40 images and 6 classes, of which the last one
# never occurs; scores are rounded to eighths, so that many are equal. "cross_entropy": PyTorch's with weights of classes.
import argparse
import json
import pathlib

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score
from sklearn.neighbors import KNeighborsClassifier

from formula import uniform

N, D, C = 90, 12, 4


def problem():
    labels = np.array([i % 2 if i < N // 2 else i % C for i in range(N)])
    x = 3 * uniform("features", N * D).reshape(N, D).astype(np.float64) + 1
    for i in range(N):
        x[i, np.arange(D) % C == labels[i]] += 0.8
    return x.astype(np.float32), labels


def logistic(strength, weights):
    x, y = problem()
    fit = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=100000, class_weight=weights).fit(x.astype(np.float64), y)
    logits = x.astype(np.float64) @ fit.coef_.T + fit.intercept_
    logs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    of = np.array([weights[c] for c in range(C)]) if isinstance(weights, dict) else np.ones(C)
    objective = -(of[y] * logs[np.arange(N), y]).sum() + strength / 2 * (fit.coef_**2).sum()
    bias = fit.intercept_ - fit.intercept_.mean()
    return {"l2": strength, "weights": of.tolist(), "weight": fit.coef_.ravel().tolist(), "bias": bias.tolist(), "objective": objective}


def neighbours(k):
    x, y = problem()
    queries = 3 * uniform("queries", 20 * D).reshape(20, D) + 1
    votes = KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=lambda d: np.exp(-d / 0.07)).fit(x, y)
    return {"k": k, "votes": votes.predict_proba(queries).ravel().tolist()}


def multi_label():
    n, c = 40, 6
    scores = np.round(8 * uniform("scores", n * c).reshape(n, c)) / 8
    truth = uniform("truth", n * c).reshape(n, c) > 0.3
    truth[:, c - 1] = False
    truth[3] = False
    said = scores > 0
    each = [float(average_precision_score(truth[:, i], scores[:, i])) for i in range(c - 1)]
    f1 = {kind: float(f1_score(truth, said, average=kind, zero_division=0)) for kind in ("micro", "macro", "samples")}
    return {"average_precision": each, "map": float(np.mean(each)), **f1,
            "f1": f1_score(truth, said, average=None, zero_division=0).tolist()}


def cross_entropy():
    logits = torch.from_numpy(3 * uniform("logits", 6 * 4).reshape(6, 4)).double()
    classes = torch.tensor([0, 3, 1, 1, 2, 0])
    soft = torch.softmax(torch.from_numpy(2 * uniform("soft", 24).reshape(6, 4)).double(), 1)
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0]).double()
    loss = torch.nn.functional.cross_entropy
    return {"classes": loss(logits, classes, weight).item(), "soft": loss(logits, soft, weight).item(),
            "smoothed": loss(logits, classes, weight, label_smoothing=0.1).item()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("test/golden"))
    out = parser.parse_args().out / "train" / "linear_models.json"
    uneven = {0: 0.25, 1: 0.5, 2: 2.0, 3: 1.0}
    text = {"logistic": [logistic(1.0, None), logistic(0.01, None), logistic(30.0, None), logistic(1.0, uneven)],
            "neighbours": [neighbours(1), neighbours(7)], "multi_label": multi_label(), "cross_entropy": cross_entropy()}
    out.write_text(json.dumps(text, indent=1) + "\n")


main()
