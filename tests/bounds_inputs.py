"""Inputs of unit length."""

import numpy as np


def unit(generator, *shape):
    points = generator.normal(size=shape)
    return points / np.linalg.norm(points, axis=-1, keepdims=True)
