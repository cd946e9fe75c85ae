"""Which pairs to choose so that their scores add up to the most: the assignment problem (Kuhn and Munkres)."""

from collections.abc import Sequence


def assign(scores: Sequence[Sequence[float]]) -> list[tuple[int, int]]:
    """Pairs of row and column, each at most once, of the largest sum; pairs that score 0 are left out."""
    if not scores or not scores[0]:
        return []
    size = max(len(scores), len(scores[0]))
    padded = [[-row[j] if j < len(row) else 0.0 for j in range(size)] for row in scores]
    padded += [[0.0] * size for _ in range(size - len(scores))]
    column_rows = _cheapest(padded)
    pairs = [(row, column) for column, row in enumerate(column_rows)]
    return sorted((i, j) for i, j in pairs if i < len(scores) and j < len(scores[i]) and scores[i][j] > 0)


def _cheapest(costs: list[list[float]]) -> list[int]:
    """Of each column the row, for square costs; shortest augmenting paths, O(n^3)."""
    size = len(costs)
    row_prices, column_prices = [0.0] * (size + 1), [0.0] * (size + 1)
    rows, ways = [size] * (size + 1), [size] * (size + 1)
    for row in range(size):
        rows[size], column = row, size
        slack, used = [float("inf")] * size, [False] * (size + 1)
        while rows[column] != size:
            used[column] = True
            current, step, following = rows[column], float("inf"), size
            for j in range(size):
                if used[j]:
                    continue
                reduced = costs[current][j] - row_prices[current] - column_prices[j]
                if reduced < slack[j]:
                    slack[j], ways[j] = reduced, column
                if slack[j] < step:
                    step, following = slack[j], j
            for j in range(size + 1):
                if used[j]:
                    row_prices[rows[j]] += step
                    column_prices[j] -= step
                elif j < size:
                    slack[j] -= step
            column = following
        while column != size:
            rows[column] = rows[ways[column]]
            column = ways[column]
    return rows[:size]
