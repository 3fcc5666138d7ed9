"""What simulated providers of hardware are made of: a durable ledger, faults on order, and a process to kill.

A provider subclasses `ledger.JobLedger` for its columns, `server.JobService` for its routes, `options.ServiceOptions`
for its settings and `process.ServiceProcess` for its tests, and makes its command from the options of `cli`. The server
needs aiohttp (`pip install "qstore-core[testing]"`); nothing else here does. `qstore_mock.remote` and
`qstore_ionq.emulator` are two of them; `qstore_pinecone.emulator`, which has no jobs, takes `process` and `cli` alone.
"""
