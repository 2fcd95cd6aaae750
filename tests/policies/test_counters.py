"""Fixed windows."""

from gatewright.policies.counters import FixedWindows, Window


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_window_begins_with_the_first_event():
    clock = Clock()
    windows = FixedWindows(clock)
    clock.now = 7.0
    assert windows.count("a", 10) == Window(1, 10)
    clock.now = 12.0
    assert windows.count("a", 10) == Window(2, 5)
    assert windows.count("b", 10) == Window(1, 10)
    clock.now = 17.0
    assert windows.count("a", 10) == Window(1, 10)


def test_ended_windows_are_forgotten():
    clock = Clock()
    windows = FixedWindows(clock)
    for number in range(10_000):
        windows.count(f"key {number}", 60)
    assert len(windows) == 10_000
    clock.now = 60.0
    windows.count("another", 60)
    assert len(windows) == 1


def test_a_window_gets_longer_and_shorter_from_its_beginning():
    clock = Clock()
    windows = FixedWindows(clock)
    windows.count("a", 60)
    clock.now = 50.0
    assert windows.count("a", 3600) == Window(2, 3550)
    clock.now = 100.0
    assert windows.count("a", 3600) == Window(3, 3500)
    assert windows.count("a", 60) == Window(1, 60)
    clock.now = 3600.0
    windows.count("b", 60)
    assert len(windows) == 1
