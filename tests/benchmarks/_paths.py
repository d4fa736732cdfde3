"""What the rows about paths share: graphs, the known counts, and networkx's best route."""

from math import comb


def edges_of(size):
    """Tail, head and order of every edge: a tower, or a ladder where nothing is in series."""
    depth = size["depth"]
    branches = [(n, n + 1, 1) for n in range(depth)]
    if size["graph"] == "tower":
        return branches + [(n, n + 1, 0) for n in range(depth)]
    return branches + [(n, n + 2, 0) for n in range(depth - 1)]


def graph_of(size):
    """The graph as networkx has it."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    for tail, head, order in edges_of(size):
        graph.add_edge(tail, head, order=order)
    return graph


def architecture(size):
    """The graph as this project has it."""
    from expansion.towers.architectures.architecture import Architecture
    from expansion.towers.architectures.edge import Edge

    return Architecture(
        tuple(
            Edge(f"h{tail}", f"h{head}", f"block{head}" if order else "", order)
            for tail, head, order in edges_of(size)
        )
    )


def start_ours(size):
    """The architecture is at hand, as the graph is for networkx."""
    from expansion.growth.path_polynomials import path_polynomial

    built = architecture(size)
    return lambda: path_polynomial(built).counts


def start_ours_whole(size):
    """The architecture is built and checked anew each time."""
    from expansion.growth.path_polynomials import path_polynomial

    return lambda: path_polynomial(architecture(size)).counts


def start_recurrence(size):
    """Lists of Python's integers along networkx's topological order."""
    import networkx as nx

    graph, depth = graph_of(size), size["depth"]

    def job():
        found = {0: [1]}
        for node in nx.topological_sort(graph):
            if node == 0:
                continue
            counts = []
            for tail, _, order in graph.in_edges(node, data="order"):
                counts.extend([0] * (len(found[tail]) + order - len(counts)))
                for length, count in enumerate(found[tail], order):
                    counts[length] += count
            found[node] = counts
        return found[depth]

    return job


def start_enumeration(size):
    """Every path by networkx, counted by the branches it passes."""
    import networkx as nx

    graph, depth = graph_of(size), size["depth"]

    def job():
        counts = [0] * (depth + 1)
        for path in nx.all_simple_edge_paths(graph, 0, depth):
            counts[sum(graph.edges[edge]["order"] for edge in path)] += 1
        return counts

    return job


def summary(counts):
    """Every count, exactly."""
    return [str(count) for count in counts]


def gate(size, ours, theirs):
    """C(n, k) for the tower; for the ladder, sequences of k ones and (n - k)/2 twos."""
    n = size["depth"]
    if size["graph"] == "tower":
        known = [comb(n, k) for k in range(n + 1)]
    else:
        known = [0 if (n - k) % 2 else comb((n + k) // 2, k) for k in range(n + 1)]
    return None if ours == theirs == summary(known) else "the counts are not the known ones"
