"""How many APIs may be tried while API Manager is out of order."""

from gatewright.controlplane.apim.gate import LONGEST_WAIT, Gate


def test_single_tries_until_one_succeeds():
    gate = Gate(4, lambda: 1.0)
    assert gate.slots(0.0, 1) == 3
    gate.failed(0.0, 0.0)
    assert (gate.closed, gate.slots(0.0, 0)) == (False, 4)
    gate.failed(0.0, 0.0)
    assert gate.closed
    assert gate.slots(0.5, 0) == 0
    assert gate.wait(0.5) == 0.5
    assert gate.slots(1.0, 0) == 1
    assert gate.slots(1.0, 1) == 0
    for _ in range(20):
        gate.failed(100.0, 0.0)
    assert gate.wait(100.0) == LONGEST_WAIT
    assert gate.succeeded()
    assert not gate.succeeded()
    assert gate.slots(100.0, 0) == 4


def test_api_manager_says_when_to_come_back():
    gate = Gate(4, lambda: 0.0)
    gate.failed(10.0, 60.0)
    assert gate.slots(69.0, 0) == 0
    assert gate.slots(70.0, 0) == 4
