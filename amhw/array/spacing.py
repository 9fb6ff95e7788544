"""When the positions of one operation after another have their turns, counted without a circuit."""

from amhw.array.operation import Operation


class Spacing:
    """Counts turns: a tile's weights are loaded after the one before has been swapped in everywhere."""

    def __init__(self, interval: int) -> None:
        self._interval = interval
        self.first = 0
        """Turn of the first position of the operation before."""
        self._swap = self._last = -(1 << 30)

    def after(self, one: Operation, images: int = 1) -> int:
        """The last turn of an operation that follows those before; of the first, counted from its own first turn."""
        fetch = one.fetch
        positions = one.positions * (images if fetch.batched else 1)
        first = 0 if self._last < 0 else self._last + fetch.gap
        each = 1
        for tile in range(one.tiles):
            complete = fetch.element or (tile + 1) % (one.tiles // fetch.groups) == 0
            if tile:
                first = self._last + each
            if not fetch.element:
                first = max(first, self._swap + self._interval)
                self._swap = first
            if not tile:
                self.first = first
            each = fetch.interval if complete else 1
            self._last = first + (positions - 1) * each
        return self._last


def rows_needed(one: Operation, written: Operation) -> list[tuple[int, int]]:
    """For each row of `one`: its first turn, and how long before its last turn `written` had the newest row needed."""
    fetch, made = one.fetch, written.fetch
    if fetch.batched or made.batched or written.finish.vector:
        return [(0, 0)]
    per_row = fetch.columns * fetch.pool_y * fetch.pool_x
    per_written = made.columns * made.pool_y * made.pool_x * made.interval
    last = written.rows + made.rows - 1
    rows = []
    for row in range(fetch.rows):
        top = fetch.start_y_coordinate + row * fetch.outer_y_coordinate + (fetch.pool_y - 1) * fetch.inner_y_coordinate
        newest = top + one.reach - 1
        if newest >= written.rows:
            rows.append((row * per_row, max(0, last - newest) * per_written))
    return rows
