"""Architectures as small graphs: edges are branches and skips, nodes are the signals they add to.

``edge`` · ``exchange`` (networkx) · ``architecture`` · the builders ``residual``, ``gated``,
``transformer``, ``dense``, ``unet`` · ``catalogue`` (builders by name).
"""
