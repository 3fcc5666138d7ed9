"""A simulated provider of paid quantum hardware: a process of its own with jobs, prices, a ledger and injected faults.

`qstore_mock.remote.cli` starts it, `qstore_mock.remote.process` does so for a test, and the backend `mock.remote`
talks to it. All of it needs the extra `remote`; nothing here is imported before it is asked for.
"""
