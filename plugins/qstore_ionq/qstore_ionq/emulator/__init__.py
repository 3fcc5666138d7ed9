"""An emulator of IonQ's service: its API on this machine, with exact simulation, a queue, prices, a ledger and faults.

`qstore_ionq.emulator.cli` starts it, `qstore_ionq.emulator.process` does so for a script, and
`qstore_ionq.emulator.fixture` for a test. It needs the extra `emulator`; nothing here is imported before it is asked
for, and nothing here knows the compiler of this plugin: circuits are simulated from their JSON alone.
"""
